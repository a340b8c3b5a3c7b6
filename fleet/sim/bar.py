"""bazel run //fleet/sim:bar -- [--data DIR] [--requests FILE] [--scales 1,2,4,8,16,20] [--resample DRAW --seed N]
    [--bar_only]

The planner beside SpotHedge on every recorded market under DIR, one row a market and scale, as a Markdown table. `bar`:
met (✓) where 99.9 % are served in time, no fewer than by SpotHedge with N_Extra = 2, at 90 % of its cost at most; else
what is missing: target, service or cost (impossible, where the least that anybody could pay is more). Then SpotHedge
with the smallest N_Extra of 0, 1, 2, 3, 4 and 6 that serves 99.9 %, which nobody knows beforehand, and our cost as a
share of its. `equal service`: our cost at the least target_share of 0.999, 0.9993, 0.9995, 0.9997, 0.9999 and 0.99999
with which no fewer are served than by SpotHedge, as a share of its cost: with N_Extra = 2 where that serves 99.9 %, else
with the N_Extra that does. These last two take most of the time; --bar_only leaves them out.

On markets, requests and prices of your own:
  bazel run //fleet/sim:bar -- --data DIR --requests FILE --prices FILE
A trace is DIR/…/[NODES-node/]CLOUD-NAME/ZONE_ACCELERATOR_COUNT.json, those of a folder with the same accelerator are one
market; what is in it, in a price list and in recorded requests says ../shared/data/README.md.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import tempfile

# What the markets of ../shared/data are called in the table, and in what order; others go by the simulator's names.
NAMES = {
    'aws-10-26-2022 v100_1 1-node': 'V100, 2 zones, 27 days (2022)',
    'aws-10-26-2022 v100_8 1-node': '8 × V100, 2 zones, 27 days',
    'aws-10-26-2022 k80_1 1-node': 'K80, 2 zones, 27 days',
    'aws-10-26-2022 k80_8 1-node': '8 × K80, 2 zones, 27 days',
    'aws-08-03-2023 v100_1 4-node': 'V100, 3 zones, 18 days (2023)',
    'aws-08-27-2023 v100_1 16-node': 'V100, 3 zones, 16 days',
    'aws-04-19-2023 intel_64 1-node': 'CPU machine of AWS, 3 zones, 6 days',
    'gcp-04-30-2023 c3-88_1 1-node': 'CPU machine of Google Cloud, 4 zones, 2 days',
}
REQUESTS = 'AzureLLMInferenceTrace_conv.csv'
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


def markets_under(data):
    """The simulator's names of the markets under a folder, each with the folder of its traces."""
    found = {}
    for path in pathlib.Path(data).resolve().rglob('*.json'):
        kind = path.stem.split('_')[1:]
        count = kind.pop() if len(kind) > 1 and kind[-1].isdigit() else '1'
        nodes = [part for part in path.parts if re.fullmatch(r'\d+-node', part)][-1:]
        found[' '.join([path.parent.name, f'{"_".join(kind).lower()}_{count}', *nodes])] = path.parent
    order = {name: i for i, name in enumerate(NAMES)}
    return sorted(found.items(), key=lambda market: (order.get(market[0], len(order)), market))


def simulate(options, market, scale, *policies, extra=2, share=TARGET):
    """What each of the policies came to."""
    name, folder = market
    with tempfile.TemporaryDirectory() as out:
        profile = pathlib.Path(out, 'profile')
        profile.write_text(f'notice_seconds: {options.notice} target_share: {share}\n')
        done = subprocess.run(
            [options.simulate, f'--traces={folder}', f'--market={name}', f'--out={out}', f'--profile={profile}',
             f'--requests={options.requests}', f'--prices={options.prices or ""}', f'--scale={scale}',
             f'--policy={",".join(policies)}', f'--hedge_extra={extra}', f'--resample={options.resample}', f'--seed={options.seed}'],
            check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise RuntimeError(f'{name}: {done.stderr}')
        results = [json.loads(pathlib.Path(out, f'{policy}.json').read_text()) for policy in policies]
        if len(results[0]['markets']) != 1:
            raise RuntimeError(f'{name} is in the names of {len(results[0]["markets"])} markets under {folder}')
        return [Run(result) for result in results]


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
            ours, = simulate(options, market, scale, 'ours', share=share)
        if ours.served >= max(TARGET, other.served):
            return f'{share}: {ours.dollars / other.dollars:.2f}'
    return 'not reached'


def with_hindsight(options, market, scale, hedge, ours):
    """The columns of the N_Extra that is enough, and of equal service."""
    enough, other = 'none | ', None
    for extra in EXTRAS:
        other = hedge if extra == 2 else simulate(options, market, scale, 'spothedge', extra=extra)[0]
        if other.served >= TARGET:
            enough = f'{extra}: {other} | {ours.dollars / other.dollars:.2f}'
            break
        other = None
    peer = hedge if hedge.served >= TARGET else other
    return f" {enough} | {at_equal_service(options, market, scale, ours, peer) if peer else 'none'} |"


def row(options, market, scale):
    hedge, ours, least = simulate(options, market, scale, 'spothedge', 'ours', 'omniscient')
    return (f'| {NAMES.get(market[0], market[0])} | {scale:g} | {ours.on_demand:.0f} | {hedge} | {ours} | '
            f'{ours.dollars / hedge.dollars:.2f} | '
            f'{100 * least.dollars / least.on_demand:.1f} % | {missing(ours, hedge, least)} |'
            + ('' if options.bar_only else with_hindsight(options, market, scale, hedge, ours)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--simulate', required=True, help=argparse.SUPPRESS)
    parser.add_argument('--data', metavar='DIR', default='../shared/data', help='of traces; default: %(default)s')
    parser.add_argument('--requests', metavar='FILE', help='CSV; default: DIR/llm-requests/' + REQUESTS)
    parser.add_argument('--prices', metavar='FILE',
                        help='CSV; default: DIR/prices/gpu_prices.csv, or relative prices where that is not there')
    parser.add_argument('--scales', default='1,2,4,8,16,20',
                        help="so many machines' full work in the mean; default: %(default)s")
    parser.add_argument('--resample', type=int, default=0, metavar='DRAW',
                        help='not 0: days of the record in another order, of this draw')
    parser.add_argument('--seed', type=int, default=1, metavar='N', help='of arrivals, and of which machines are taken')
    parser.add_argument('--notice', type=float, default=0, metavar='SECONDS', help='told before a machine is taken')
    parser.add_argument('--bar_only', action='store_true', help='without the last two questions')
    parser.add_argument('--jobs', type=int, default=2, help='rows at a time')
    options = parser.parse_args()
    options.simulate = os.path.abspath(options.simulate)
    here = pathlib.Path(os.environ.get('BUILD_WORKING_DIRECTORY', '.'))
    data = here / options.data
    options.requests = here / options.requests if options.requests else data / 'llm-requests' / REQUESTS
    listed = data / 'prices' / 'gpu_prices.csv'
    options.prices = here / options.prices if options.prices else listed if listed.exists() else None
    markets = markets_under(data)
    if not markets:
        parser.error(f'{data}: holds no trace (*.json)')
    print('| market | scale | on demand, $ | SpotHedge | ours | ours / SpotHedge | least | bar |'
          + ('' if options.bar_only else ' enough | ours / enough | equal service |'))
    print('|---' * (8 if options.bar_only else 11) + '|')
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        rows = [pool.submit(row, options, market, float(scale))
                for scale in options.scales.split(',') for market in markets]
        for done in rows:
            print(done.result(), flush=True)


if __name__ == '__main__':
    main()
