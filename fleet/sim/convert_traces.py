"""bazel run //fleet/sim:convert_traces -- --out DIR [--step SECONDS] FILE...

Makes traces for //fleet:simulate and //fleet/sim:bar of what others recorded of spot machines. Two forms are known:

  steps   NAME.csv, lines "TIME,MACHINES": so many ran from then on, of a group that was always asked for more. The zone
          and the kind are its name's, as in us-east-1c_t4_1.csv. --unit 3600: times are hours.
  log     lines "[TIME] Created instance ID with 1 GPU(s) of type v100 in zone us-east-1b" and "[TIME] Instance ID not
          running in zone us-east-1b" of machines that were held and, once gone, asked for again; one machine each of a
          zone and kind. What never ran is left out.

A trace is DIR/ZONE_ACCELERATOR_COUNT.json, in steps of one minute, and as long as its record: beside one another they
are one market, which begins when each of them began.
"""
import argparse
import collections
import datetime
import json
import pathlib
import re
import sys

LINE = re.compile(r'\[(?P<time>[^]]+)\] (?P<what>.*)')
CREATED = re.compile(r'Created instance (\S+) with (\d+) GPU\(s\) of type (\S+) in zone (\S+)')
LONGEST_S = 10 * 366 * 24 * 3600
GONE = re.compile(r'Instance (\S+) not running in zone (\S+)')


class BadRecord(Exception):
    pass


def read_steps(path, unit):
    """{trace: [(seconds, machines)]}, and its length."""
    changes = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            time, machines = line.split(',')
            at, machines = float(time) * unit, int(machines)
        except ValueError:
            raise BadRecord(f'{path}:{number}: "{line[:40]}" is not "TIME,MACHINES"') from None
        if machines < 0 or not (changes[-1][0] if changes else 0) <= at < LONGEST_S:
            raise BadRecord(f'{path}:{number}: fewer machines than none, or a time before the last one or years later')
        changes.append((at, machines))
    if not changes:
        raise BadRecord(f'{path}: holds nothing')
    return {path.stem: changes}, changes[-1][0]


def read_log(path):
    changes, places = collections.defaultdict(list), {}
    first = now = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not (said := LINE.fullmatch(line.strip())):
            continue
        try:
            time = datetime.datetime.fromisoformat(said['time'].rstrip('Z'))
            at = (time if time.tzinfo else time.replace(tzinfo=datetime.timezone.utc)).timestamp()
        except ValueError:
            raise BadRecord(f'{path}:{number}: "{said["time"][:40]}" is no time') from None
        first = at if first is None else first
        if not (first if now is None else now) <= at < first + LONGEST_S:
            raise BadRecord(f'{path}:{number}: a time before the last one or years later')
        now = at
        if created := CREATED.fullmatch(said['what']):
            name, count, kind, zone = created.groups()
            places[name] = f'{zone}_{kind.rsplit("-", 1)[-1].lower()}_{count}'
            changes[places[name]].append((at - first, 1))
        elif (gone := GONE.fullmatch(said['what'])) and places.get(gone[1], '').startswith(f'{gone[2]}_'):
            changes[places[gone[1]]].append((at - first, 0))
    if not changes:
        raise BadRecord(f'{path}: tells of no machine that was created')
    return changes, now - first


def steps_of(changes, length, step):
    """What ran at the begin of each step."""
    machines, data, at = 0, [], 0
    for number in range(int(length // step)):
        while at < len(changes) and changes[at][0] <= number * step:
            machines = changes[at][1]
            at += 1
        data.append(machines)
    return {'metadata': {'gap_seconds': step}, 'data': data}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('files', nargs='+', type=pathlib.Path, metavar='FILE')
    parser.add_argument('--out', required=True, type=pathlib.Path, metavar='DIR')
    parser.add_argument('--step', type=int, default=60, metavar='SECONDS', help='default: %(default)s')
    parser.add_argument('--unit', type=float, default=1, metavar='SECONDS',
                        help='of times in steps; default: %(default)s')
    options = parser.parse_args()
    if options.step < 1:
        parser.error('--step: a whole number of seconds from 1')
    written = set()
    try:
        for path in options.files:
            changes, length = read_steps(path, options.unit) if path.suffix == '.csv' else read_log(path)
            for name, of_one in sorted(changes.items()):
                trace = steps_of(of_one, length, options.step)
                if not trace['data']:
                    raise BadRecord(f'{path}: is shorter than a step of {options.step} s')
                if name in written:
                    raise BadRecord(f'{path}: another file has {name}, too; a market is a folder of its own')
                written.add(name)
                options.out.mkdir(parents=True, exist_ok=True)
                (options.out / f'{name}.json').write_text(json.dumps(trace))
                share = sum(map(bool, trace['data'])) / len(trace['data'])
                print(f'{name}: {length / 3600:.1f} h, some there {100 * share:.1f} % of the time')
    except (BadRecord, OSError, UnicodeDecodeError) as error:
        sys.exit(f'convert_traces: {error}')


if __name__ == '__main__':
    main()
