"""Replays the same messages in each documented format of a log (docs/replay.md): lines per second,
and their ratio to the first format.

The messages are sessions of many stations, in which a seventh are Authorize and its answer; a table
in CSV has as many rows, each a meter value.
"""

import json
import os
import statistics
import time

import one_figures
import replay_figures
import rig

RECEIVED = one_figures.INITIALLY + 3 * one_figures.DAY_S  # after all times of stations
ZONE = ["--zone", "+00:00"]


def messages(count):
    """(microseconds since 1970, station, direction, topic, frame), in the order of their receipt:
    one each millisecond."""
    made = one_figures.all_of_one_station(count + 14, True)[:count]
    for n, (topic, frame) in enumerate(made):
        _, way, _, station = topic.split("/")
        yield RECEIVED * 1_000_000 + n * 1000, station, way, topic, frame


def clock(us, form="%Y-%m-%dT%H:%M:%S", point="."):
    return time.strftime(form, time.gmtime(us // 1_000_000)) + f"{point}{us % 1_000_000 // 1000:03}"


def frames(us, station, way, topic, frame):
    return f"{clock(us)}Z {station} {way} {frame}"


def frames_alone(us, station, way, topic, frame):
    return f"{clock(us)}Z {station} {frame}"


def mosquitto_u(us, station, way, topic, frame):
    return f"{us // 1_000_000}.{us % 1_000_000:06}\t1\t0\t{topic}\t\t{frame.encode().hex()}"


def mosquitto_j(us, station, way, topic, frame):
    return json.dumps({"tst": clock(us) + "000Z", "topic": topic, "qos": 1, "retain": 0,
                       "payloadlen": len(frame), "payload": frame})


def mosquitto_json(us, station, way, topic, frame):
    return (f'{{"tst":"{clock(us)}000Z","topic":"{topic}","qos":1,"retain":0,'
            f'"payloadlen":{len(frame)},"payload":{frame}}}')


def home_assistant(us, station, way, topic, frame):
    said = {"in": "receive message", "out": "send"}[way]
    at = clock(us, "%Y-%m-%d %H:%M:%S")
    return f"{at} INFO (MainThread) [ocpp] {station}: {said} {frame}"


def python_ocpp(us, station, way, topic, frame):
    said = {"in": "receive message", "out": "send"}[way]
    return f"{clock(us, '%Y-%m-%d %H:%M:%S', ',')} INFO:ocpp:{station}: {said} {frame}"


def steve(us, station, way, topic, frame):
    said = {"in": "Received", "out": "Sending"}[way]
    at = clock(us, "%Y-%m-%d %H:%M:%S", ",")
    return (f"[INFO ] {at} de.rwth.idsg.steve.ocpp.ws.WebSocketLogger (qtp1330912871-50) - "
            f"[chargeBoxId={station}, sessionId=53a8f814] {said}: {frame}")


def evcc(us, station, way, topic, frame):
    said = {"in": "recv", "out": "send"}[way]
    at = time.strftime("%Y/%m/%d %H:%M:%S", time.gmtime(us // 1_000_000))
    return f"evcc  | [ocpp  ] TRACE {at} {said} {station}: {frame}"


# The options of replay, and how a message becomes a line.
FORMS = {
    "{time} {station} {direction} {frame}": (
        ["--lines", "{time} {station} {direction} {frame}"], frames),
    "{time} {station} {frame}": (["--lines", "{time} {station} {frame}"], frames_alone),
    r"mosquitto_sub %U\t%q\t%r\t%t\t%D\t%x": ([], mosquitto_u),
    "mosquitto_sub %j": ([], mosquitto_j),
    "mosquitto_sub %J": ([], mosquitto_json),
    "Home Assistant": ([
        "--lines", "{time} INFO ({skip}) [ocpp] {station}: {direction} {frame}", *ZONE],
        home_assistant),
    "python-ocpp": (["--lines", "{time} {skip}:ocpp:{station}: {direction} {frame}", *ZONE],
                    python_ocpp),
    "SteVe": (["--lines", "[{skip}] {time} {skip}[chargeBoxId={station}, {skip}] {direction}:"
               " {frame}", *ZONE], steve),
    "evcc": (["--lines", "{skip}TRACE {time} {direction} {station}: {frame}", *ZONE], evcc),
}
CSV = "CSV"
CSV_MAP = "station=id,time=at,evse=connector,value=kwh,unit='kWh'"


def csv_rows(count):
    """A day's values from many stations, station by station."""
    yield "id,at,connector,kwh"
    for n in range(count):
        station, number = n // 1440, n % 1440
        yield f"cs{station:05},{one_figures.stamp(60 * number)},1,{n % 977}.{n % 1000:03}"


def write(path, name, count):
    """A log of count messages in this form; returns the options of replay for it."""
    with open(path, "w") as out:
        if name == CSV:
            out.writelines(row + "\n" for row in csv_rows(count))
            return ["--csv", CSV_MAP]
        options, line = FORMS[name]
        out.writelines(line(*message) + "\n" for message in messages(count))
    return options


def run_once(b, number, name, count):
    database = f"form{number}"
    path = os.path.join(b.workspace.path, "log")
    options = write(path, name, count)
    b.new_database(database)
    before = rig.cpu_seconds(b.postgres.pid)
    ended = replay_figures.Running(b, database, *options, path).end()
    used = rig.cpu_seconds(b.postgres.pid) - before
    b.postgres.psql(f"DROP DATABASE {database}")
    if ended["unreadable"] or ended["dead_lettered"] or ended["duplicate"]:
        raise rig.RigError(f"{name}: not everything was stored: {ended}")
    return {"lines_per_second": count / ended["seconds"], "cpu_us": ended["cpu"] * 1e6 / count,
            "postgres_cpu_us": used * 1e6 / count, "rss_peak_mib": ended["rss_peak_mib"]}


def measure(b, rounds, count):
    """Each form in turn, so that whatever else the machine does affects all of them."""
    names, runs = [*FORMS, CSV], {}
    for number in range(rounds * len(names)):
        name = names[number % len(names)]
        runs.setdefault(name, []).append(run_once(b, number, name, count))
    return {"lines": count, "forms": {
        name: {key: statistics.median(run[key] for run in each) for key in each[0]}
        for name, each in runs.items()},
        "rss_peak_mib": max(run["rss_peak_mib"] for each in runs.values() for run in each)}


def tell(f):
    first = next(iter(f["forms"].values()))["lines_per_second"]
    print(f"\nreplay of logs of {f['lines']:,} lines, the same messages in each form")
    for name, form in f["forms"].items():
        print(f"  {name:<38}{form['lines_per_second']:>10,.0f} lines/s, ratio "
              f"{form['lines_per_second'] / first:.2f}; CPU per line {form['cpu_us']:.1f} us, "
              f"PostgreSQL {form['postgres_cpu_us']:.1f} us")
