"""bazel run //fleet/sim:bar -- --data DIR [--scales 1,2,4,8,16] [--resample SEED] [--notice SECONDS] [--jobs 2]

The planner beside SpotHedge on every recorded market under DIR (spot-traces, prices and llm-requests), one row a market
and scale, as a Markdown table. `bar`: met (✓) where 99.9 % are served in time, no fewer than by SpotHedge with
N_Extra = 2, at 90 % of its cost at most; else what is missing. Then SpotHedge with the smallest N_Extra of 0, 1, 2, 3, 4
and 6 that serves 99.9 %, which nobody knows beforehand, and our cost as a share of its. `equal service`: our cost at the
least target_share of 0.999, 0.9993, 0.9995, 0.9997, 0.9999 and 0.99999 with which no fewer are served than by
SpotHedge, as a share of its cost: with N_Extra = 2 where that serves 99.9 %, else with the N_Extra that does.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import tempfile

# Folder under spot-traces, what the market's name holds, and what to call it.
MARKETS = [
    ('availability/1-node', 'v100_1', 'V100, 2 zones, 27 days (2022)'),
    ('availability/1-node', 'v100_8', '8 × V100, 2 zones, 27 days'),
    ('availability/1-node', 'k80_1', 'K80, 2 zones, 27 days'),
    ('availability/1-node', 'k80_8', '8 × K80, 2 zones, 27 days'),
    ('preemption/4-node', 'v100_1', 'V100, 3 zones, 18 days (2023)'),
    ('availability/16-node', 'v100_1', 'V100, 3 zones, 16 days'),
    ('preemption/1-node', 'intel', 'CPU machine of AWS, 3 zones, 6 days'),
    ('preemption/1-node', 'c3', 'CPU machine of Google Cloud, 4 zones, 2 days'),
]
TARGET, SAVING = 0.999, 0.1
EXTRAS = (0, 1, 2, 3, 4, 6)
SHARES = (TARGET, 0.9993, 0.9995, 0.9997, 0.9999, 0.99999)


class Run:
    """What a policy came to: dollars, those of on demand, and the share served in time."""

    def __init__(self, result):
        self.dollars = result['cost_dollars']
        self.on_demand = result['on_demand_cost_dollars']
        self.served = result['served_within_target']

    def __str__(self):
        return f'{100 * self.dollars / self.on_demand:.1f} % · {100 * self.served:.3f}'


def simulate(options, market, scale, policy, extra=2, share=TARGET):
    folder, name, _ = market
    with tempfile.TemporaryDirectory() as out:
        profile = pathlib.Path(out, 'profile')
        profile.write_text(f'notice_seconds: {options.notice} target_share: {share}\n')
        subprocess.run(
            [options.simulate, f'--traces={options.data}/spot-traces/{folder}', f'--market={name}', f'--out={out}',
             f'--requests={options.data}/llm-requests/AzureLLMInferenceTrace_conv.csv', f'--profile={profile}',
             f'--prices={options.data}/prices/gpu_prices.csv', f'--scale={scale}', f'--policy={policy}',
             f'--hedge_extra={extra}', f'--resample={options.resample}', f'--seed={1 + bool(options.resample)}'],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return Run(json.loads(pathlib.Path(out, f'{policy}.json').read_text()))


def missing(ours, hedge, least):
    """What the bar lacks, in words."""
    lacks = []
    if ours.served < TARGET:
        lacks.append('target')
    if ours.served < hedge.served:
        lacks.append('service')
    if ours.dollars > (1 - SAVING) * hedge.dollars:
        lacks.append('impossible' if least.dollars > (1 - SAVING) * hedge.dollars else 'cost')
    return ', '.join(lacks) or '✓'


def at_equal_service(options, market, scale, ours, other):
    """The target_share with which ours serves as many as `other`, and the ratio of costs, in words."""
    for share in SHARES:
        if share != TARGET:
            ours = simulate(options, market, scale, 'ours', share=share)
        if ours.served >= max(TARGET, other.served):
            return f'{share}: {ours.dollars / other.dollars:.2f}'
    return 'not reached'


def row(options, market, scale):
    hedge, ours, least = (simulate(options, market, scale, policy) for policy in ('spothedge', 'ours', 'omniscient'))
    enough, other = 'none | ', None
    for extra in EXTRAS:
        other = hedge if extra == 2 else simulate(options, market, scale, 'spothedge', extra)
        if other.served >= TARGET:
            enough = f'{extra}: {other} | {ours.dollars / other.dollars:.2f}'
            break
        other = None
    peer = hedge if hedge.served >= TARGET else other
    equal = at_equal_service(options, market, scale, ours, peer) if peer else 'none'
    return (f'| {market[2]} | {scale:g} | {ours.on_demand:.0f} | {hedge} | {ours} | '
            f'{ours.dollars / hedge.dollars:.2f} | '
            f'{100 * least.dollars / least.on_demand:.1f} % | {missing(ours, hedge, least)} | {enough} | {equal} |')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--simulate', required=True, help=argparse.SUPPRESS)
    parser.add_argument('--data', required=True)
    parser.add_argument('--scales', default='1,2,4,8,16')
    parser.add_argument('--resample', type=int, default=0)
    parser.add_argument('--notice', type=float, default=0)
    parser.add_argument('--jobs', type=int, default=2)
    options = parser.parse_args()
    options.simulate = os.path.abspath(options.simulate)
    options.data = pathlib.Path(os.environ.get('BUILD_WORKING_DIRECTORY', '.'), options.data)
    print('| market | scale | on demand, $ | SpotHedge | ours | ours / SpotHedge | least | bar '
          '| enough | ours / enough | equal service |')
    print('|---|---|---|---|---|---|---|---|---|---|---|')
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        rows = [pool.submit(row, options, market, float(scale))
                for scale in options.scales.split(',') for market in MARKETS]
        for done in rows:
            print(done.result(), flush=True)


if __name__ == '__main__':
    main()
