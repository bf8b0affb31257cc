"""What is tried inside of the virtual machine; `run` says how. Each line that it writes to the second serial port is
one thing that holds, or does not."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

PAYLOAD = Path("/opt/payload")
STATE = Path("/var/lib/checks")  # What the start after the power cut goes on with.
RESULTS = open("/dev/ttyS1", "w", buffering=1)
SYSTEMD = int(re.search(r"\d+", subprocess.check_output(["systemctl", "--version"], text=True))[0])
OPTIONS = dict(re.findall(r"(\w+)=(\S+)", Path("/proc/cmdline").read_text()))
SLOW = int(OPTIONS["slow"])  # How many times longer all takes where the processor is emulated.
LEASE = 5 * SLOW
# A worker's flags: a lease that runs out while one watches, and a limit of processes.
FLAGS = f"--lease-seconds {LEASE} --renew-seconds {SLOW} --grace-seconds 2 --slots 4 --pids 32"
LIMITS = {"memory": "64Mi", "cpu": "500m"}
group = "machine"


def hold(what, seen, wanted=True):
    """One line of the table."""
    held = wanted(seen) if callable(wanted) else seen == wanted
    RESULTS.write(f"{'ok    ' if held else 'FAILED'} {group}: {what}{'' if held else f' (seen: {seen})'}\n")


def run(*words, check=True, **options):
    done = subprocess.run(words, text=True, capture_output=True, **options)
    if check and done.returncode:
        raise RuntimeError(f"{words}: {done.returncode}: {done.stderr[-600:]} {done.stdout[-300:]}")
    return done.stdout.strip()


def until(question, limit=40):
    """The first answer that is true, or the last one."""
    deadline = time.monotonic() + limit * SLOW
    while not (answer := question()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


def stint(*words, **options):
    return run("stint", *words, **options)


def get(*words):
    return json.loads(stint("get", *words, "-o", "json"))


def job(name, *commands, limits=None, pod=None, containers=None, **spec):
    """Makes a Job of a container for each command."""
    made = [{"name": f"c{n}", "image": "host", "command": command, "resources": {"limits": limits or {}}}
            for n, command in enumerate(commands)]
    for container in made:
        container.update(containers or {})
    template = {"spec": {"restartPolicy": "Never", "containers": made, **(pod or {})}}
    manifest = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
                "spec": {"backoffLimit": 0, "template": template, **spec}}
    stint("create", "-f", "-", input=json.dumps(manifest))


def pods(name):
    return get("pods", "-l", f"job-name={name}")["items"]


def finished(name, limit=40):
    """The Job's status when it has finished."""
    def ended():
        status = get("job", name)["status"]
        return {c["type"] for c in status.get("conditions", [])} & {"Complete", "Failed"} and status
    return until(ended, limit) or {}


def output(name, *commands, **options):
    """What a Job of these commands wrote, once it has ended."""
    job(name, *commands, **options)
    finished(name)
    return stint("logs", name, check=False)


def explained(name, wanted):
    """Whether `stint explain` says why this Job's pod waits. The Job is deleted."""
    said = ""

    def look():
        nonlocal said
        said = stint("explain", name, check=False)
        return re.search(wanted, said, re.S)
    held = bool(until(look, 10)) and [it["status"]["phase"] for it in pods(name)] == ["Pending"]
    stint("delete", "job", name)
    return held or said


def terminated(name):
    """How each container of a Job's one pod ended."""
    def ended():
        states = [it.get("state", {}) for pod in pods(name) for it in pod["status"].get("containerStatuses", [])]
        return states and all("terminated" in it for it in states) and [it["terminated"] for it in states]
    return until(ended) or []


def python(text):
    return ["python3", "-c", text]


def alive(pid):
    """The state of a process: a letter, or nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0].replace("Z", "")
    except OSError:
        return ""


def number(path, limit=40):
    return int(until(lambda: Path(path).exists() and Path(path).read_text().strip(), limit) or 0)


def main_pid(unit="stint-worker"):
    return int(run("systemctl", "show", "-P", "MainPID", unit))


def active(unit="stint-worker"):
    return run("systemctl", "is-active", unit, check=False)


def supervisor_of(data="/var/lib/stint/worker"):
    return int(Path(data, "supervisor.lock").read_text())


def nodes():
    return {it["metadata"]["name"]: it for it in get("nodes")["items"]}


def ready():
    """The nodes that take pods."""
    is_ready = {"type": "Ready", "status": "True"}
    return [name for name, node in nodes().items()
            if any(is_ready.items() <= it.items() for it in node["status"]["conditions"])]


COUNTS = "i=0; echo $$$$ > {0}.pid; while [ ! -e {0}.stop ]; do i=$((i+1)); echo $i > {0}; sleep 0.1; done"


class Lasting:
    """A Job of one pod that counts until it is told to stop."""

    def __init__(self, name, limits=None, **spec):
        self.name, self.file = name, Path(f"/tmp/{name}")
        job(name, ["sh", "-c", COUNTS.format(self.file)], limits=limits, **spec)
        self.pid = number(f"{self.file}.pid")

    def goes_on(self):
        before = self.file.read_text()
        return bool(until(lambda: self.file.read_text() not in (before, ""), 3))

    def end(self):
        Path(f"{self.file}.stop").touch()
        status = finished(self.name)
        return {key: status.get(key, 0) for key in ("succeeded", "failed")}


DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork(): os._exit(0)
    if {bare}: os.execve('/usr/bin/sleep', ['sleep', '1000'], {{}}) if open('{file}', 'w').write(str(os.getpid())) else 0
    open('{file}', 'w').write(str(os.getpid()))
    time.sleep(1000)
while not os.path.exists('{file}') or not open('{file}').read(): time.sleep(0.02)
"""

BUSY = """
import time
own = open('/proc/self/cgroup').read().strip().split('::')[1]
def stat(): return dict(line.split() for line in open('/sys/fs/cgroup' + own + '/cpu.stat'))
used, began = int(stat()['usage_usec']), time.monotonic()
while time.monotonic() - began < 5: pass
now, took = stat(), time.monotonic() - began
print((int(now['usage_usec']) - used) / took / 1e6, now.get('nr_throttled', 0), sep='\\n')
"""

BOMB = """
import os, time
made = 0
try:
    while made < 200:
        if os.fork() == 0: time.sleep(1000)
        made += 1
except OSError as error: print(made, error.errno)
"""


def limits(key):
    """What limits of containers do, on the one worker that there is. `key` makes names of Jobs."""
    hungry = python("import time; b = bytearray(200 << 20); time.sleep(100)")
    # A shell is left when its child is killed, unless all of the container is.
    by_child = ["sh", "-c", "python3 -c 'b = bytearray(200 << 20)'; sleep 100"]
    calm = ["sh", "-c", "sleep 1; echo calm"]
    job(f"{key}-oom", hungry, calm, by_child, limits={"memory": "64Mi"})
    ends = [(it.get("reason"), it["exitCode"]) for it in terminated(f"{key}-oom")]
    hold("OOMKilled is told of those that broke their limits, and of no other", ends,
         [("OOMKilled", 137), ("Completed", 0), ("OOMKilled", 137)])
    said = output(f"{key}-cpu", python(BUSY), limits={"cpu": "200m"}).split()
    hold("a limit of 0.2 CPU holds (share of a CPU, times throttled)", said,
         lambda it: len(it) == 2 and float(it[0]) < 0.25 and int(it[1]) > 0)
    said = output(f"{key}-pids", python(BOMB), limits=LIMITS)
    hold("a fork bomb ends at 32 processes", said, "31 11")
    for limited in (None, LIMITS):
        for bare in (False, True):
            words = f"{'with' if limited else 'without'} limits{', without its environment' if bare else ''}"
            name = f"{key}-daemon-{'l' if limited else 'n'}{int(bare)}"
            job(name, python(DAEMON.format(file=f"/tmp/{name}", bare=bare)), limits=limited)
            status = finished(name)
            pid = number(f"/tmp/{name}", 1)
            hold(f"a daemon is killed with its pod ({words})", (pid > 1, alive(pid), status.get("succeeded")),
                 (True, "", 1))
    limited = {"volumes": [{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}}]}
    free = {"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]}
    mounted = {"volumeMounts": [{"name": "v", "mountPath": "/cache"}]}
    command = ["sh", "-c", "stat -fc %T /cache; head -c 32M /dev/zero > /cache/a 2>/dev/null; stat -c %s /cache/a"]
    hold("an emptyDir in memory is in memory", output(f"{key}-shm", command, pod=free, containers=mounted).split(),
         ["tmpfs", str(32 << 20)])
    if key == "dev":
        hold("an emptyDir in memory ends at its sizeLimit",
             output(f"{key}-full", command, pod=limited, containers=mounted).split(), ["tmpfs", str(16 << 20)])
    else:
        job(f"{key}-full", command, pod=limited, containers=mounted)
        hold("explain says that a worker that is not root cannot limit one", explained(f"{key}-full", "limit volumes in memory"))
    hold("what is unlimited is unlimited", output(f"{key}-free", python("b = bytearray(200 << 20); print(1)")), "1")


def cgroup_of(pid):
    return Path("/sys/fs/cgroup" + Path(f"/proc/{pid}/cgroup").read_text().strip().split("::")[1])


def install():
    """As deploy/README.md says."""
    run("apt-get", "install", "-y", PAYLOAD / "stint_1.deb", env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    run("install", PAYLOAD / "nats-server", "/usr/local/bin/nats-server")
    Path("/etc/nats").mkdir()
    examples = Path("/usr/share/doc/stint/examples")
    run("cp", examples / "nats-server.conf", "/etc/nats/")
    run("cp", examples / "nats-server.service", "/etc/systemd/system/")
    shorter = Path("/etc/systemd/system/stint-worker.service.d/shorter.conf")
    shorter.parent.mkdir()
    shorter.write_text(f"[Service]\nWatchdogSec={3 * SLOW}\nExecStart=\n"
                       f"ExecStart=/usr/bin/stint worker --data /var/lib/stint/worker {FLAGS}\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "enable", "--now", "nats-server", "stint-coordinator", "stint-worker", timeout=90 * SLOW)


def units():
    install()
    hold("nats-server, coordinator and worker are active",
         [active(it) for it in ("nats-server", "stint-coordinator", "stint-worker")], ["active"] * 3)
    hold("doctor finds nothing that somebody must mend",
         subprocess.run(["stint", "doctor"], capture_output=True, text=True), lambda it: it.returncode == 0)
    limits("unit")
    owner = run("stat", "-c", "%U", f"/proc/{main_pid()}")
    hold("the worker is an ordinary user", owner, "stint")


def frozen():
    """A lease that runs out because nats-server is away."""
    lasting = [Lasting("cold"), Lasting("cold-limited", LIMITS)]
    run("systemctl", "stop", "nats-server")
    # A shell whose child was stopped before it became another program waits for that in the kernel (D).
    stand = lambda: [alive(it.pid) for it in lasting]
    still = lambda states: set(states) <= {"T", "D"}
    until(lambda: still(stand()), 15)
    hold("pods stand still when the lease has run out", stand(), still)
    hold("and do nothing", [it.goes_on() for it in lasting], [False, False])
    run("systemctl", "start", "nats-server")
    hold("they go on with the proof", until(lambda: all(it.goes_on() for it in lasting), 30))
    hold("and none has failed", [it.end() for it in lasting], [{"succeeded": 1, "failed": 0}] * 2)


def killed():
    for limit, words in ((None, "without limits"), (LIMITS, "with limits")):
        lasting = Lasting(f"agent-{'n' if limit is None else 'l'}", limit)
        agent = main_pid()
        os.kill(agent, signal.SIGKILL)
        hold(f"an agent is started after kill -9 ({words})",
             until(lambda: main_pid() not in (0, agent) and active() == "active", 20))
        hold(f"its pods go on ({words})", (alive(lasting.pid) != "", until(lasting.goes_on)), (True, True))
        if limit:
            group_of_pod = cgroup_of(lasting.pid)
            held = lambda: [(group_of_pod / it).read_text().strip() for it in ("memory.max", "cpu.max", "pids.max")]
            hold("and are limited as before", until(lambda: held() == [str(64 << 20), "50000 100000", "32"]) or held())
            hold("also those that are started now", output("agent-oom", python("b = bytearray(200 << 20)"), limits=limit), "")
            hold("and what breaks its limit is told apart", [it.get("reason") for it in terminated("agent-oom")], ["OOMKilled"])
        hold(f"and end as if nothing had been ({words})", lasting.end(), {"succeeded": 1, "failed": 0})
    agent, lasting = main_pid(), Lasting("watchdog")
    os.kill(agent, signal.SIGSTOP)
    hold("an agent that hangs is killed by the watchdog, and started",
         until(lambda: main_pid() not in (0, agent) and active() == "active", 30))
    hold("and its pods go on", (until(lasting.goes_on), lasting.end()), (True, {"succeeded": 1, "failed": 0}))
    lasting = Lasting("both", LIMITS, backoffLimit=3)
    os.kill(supervisor_of(), signal.SIGKILL)
    os.kill(main_pid(), signal.SIGKILL)
    hold("pods die with agent and supervisor", until(lambda: not alive(lasting.pid)))
    first = lasting.pid
    hold("and are replaced", until(lambda: number(f"{lasting.file}.pid") != first and lasting.goes_on(), 60))
    hold("one failure is counted", lasting.end(), {"succeeded": 1, "failed": 1})


def replaced():
    """What administrators do."""
    for limit, words in ((None, "without limits"), (LIMITS, "with limits")):
        lasting = Lasting(f"reload-{'n' if limit is None else 'l'}", limit)
        agent = main_pid()
        run("systemctl", "reload", "stint-worker")
        hold(f"a reload starts another agent ({words})",
             until(lambda: main_pid() not in (0, agent) and active() == "active", 20))
        hold(f"and its pods go on ({words})", (until(lasting.goes_on), lasting.end()),
             (True, {"succeeded": 1, "failed": 0}))
    lasting = Lasting("restart", LIMITS, backoffLimit=3)
    run("systemctl", "restart", "stint-worker", timeout=90 * SLOW)
    first = lasting.pid
    hold("a restart stops its pods, and they are replaced",
         until(lambda: number(f"{lasting.file}.pid") != first and lasting.goes_on(), 60))
    hold("one failure is counted after a restart", lasting.end(), {"succeeded": 1, "failed": 1})
    lasting, before = Lasting("upgrade", LIMITS, backoffLimit=3), run("dpkg-query", "-Wf${Version}", "stint")
    coordinator, agent = main_pid("stint-coordinator"), main_pid()
    run("apt-get", "install", "-y", PAYLOAD / "stint_2.deb", timeout=120 * SLOW)
    hold("the package is upgraded", run("dpkg-query", "-Wf${Version}", "stint") != before)
    hold("the coordinator is the new one", until(lambda: main_pid("stint-coordinator") not in (0, coordinator)))
    hold("the worker is", until(lambda: main_pid() not in (0, agent) and active() == "active", 20))
    hold("pods that run are unharmed", (alive(lasting.pid) != "", lasting.goes_on(), lasting.end()),
         (True, True, {"succeeded": 1, "failed": 0}))


def as_user():
    """Workers of a user who is nobody special, with a part of the control groups to itself and without."""
    run("systemctl", "stop", "stint-worker", timeout=90 * SLOW)
    run("adduser", "--disabled-password", "--gecos", "", "sue")
    uid = run("id", "-u", "sue")
    run("loginctl", "enable-linger", "sue")
    until(lambda: Path(f"/run/user/{uid}/systemd/private").exists())
    words = ["/usr/bin/stint", "worker", *FLAGS.split(), "--data"]
    mine = ["runuser", "-u", "sue", "--", "env", f"XDG_RUNTIME_DIR=/run/user/{uid}"]
    global group
    group = "user with Delegate="
    run(*mine, "systemd-run", "--user", "-u", "worker", "-pDelegate=yes", *words, "/home/sue/one", "--name", "sue-1")
    hold("its worker is ready", until(lambda: "sue-1" in ready()))
    limits("user")
    run(*mine, "systemctl", "--user", "stop", "worker", timeout=60 * SLOW)
    group = "user without"
    run("systemd-run", "--uid=sue", "-u", "plain", *words, "/home/sue/two", "--name", "sue-2")
    hold("its worker is ready", until(lambda: "sue-2" in ready()))
    for what, amount, words in (("memory", "64Mi", "limit memory"), ("cpu", "500m", "limit CPU")):
        job(f"plain-{what}", ["true"], limits={what: amount})
        hold(f"explain says that it cannot {words}, and the pod does not start",
             explained(f"plain-{what}", f"cannot {words}"))
    log = run("journalctl", "-u", "plain", "-o", "cat")
    hold("its log says that --pids is not kept", log, lambda it: "--pids is not kept" in it)
    hold("pods without limits run", output("plain-free", ["echo", "free"]), "free")
    name = "plain-daemon"
    job(name, python(DAEMON.format(file=f"/tmp/{name}", bare=True)))
    hold("a daemon is killed with its pod", (finished(name).get("succeeded"), alive(number(f"/tmp/{name}", 1))), (1, ""))
    run("systemctl", "stop", "plain", timeout=60 * SLOW)


def dev():
    """`stint dev` of root, in a place that is not its own."""
    run("systemctl", "stop", "stint-coordinator", "nats-server", timeout=60 * SLOW)
    words = ["stint", "dev", "--data", "/var/tmp/dev", "--slots", "4", "--pids", "32"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              env={**os.environ, "STINT_NATS_SERVER": "/usr/local/bin/nats-server"})
    hold("it gets ready", any(line.strip() == "ready" for line in server.stdout))
    limits("dev")
    server.send_signal(signal.SIGINT)
    hold("Ctrl-C ends it", server.wait(30 * SLOW), lambda code: code in (0, 130))
    left = [str(it) for it in Path("/sys/fs/cgroup").rglob("stint-*") if (it / "cgroup.procs").exists()
            and "stint-worker.service" not in str(it) and "stint-coordinator.service" not in str(it)]
    hold("none of its control groups is left", left, [])
    run("systemctl", "start", "nats-server", "stint-coordinator", "stint-worker", timeout=60 * SLOW)


TICKS = "echo $JOB_COMPLETION_INDEX >> /var/lib/checks/ran; sync; sleep 2"


def power_cut():
    """What is running, and what was acknowledged a moment ago, when the power goes."""
    STATE.mkdir(exist_ok=True)
    os.chmod(STATE, 0o777)
    job("cut", ["sh", "-c", TICKS], limits=LIMITS, completions=16, parallelism=4, completionMode="Indexed", backoffLimit=20)
    until(lambda: get("job", "cut")["status"].get("succeeded", 0) >= 4)
    (STATE / "cut").write_text(json.dumps(get("job", "cut")["status"]))
    os.sync()
    for n in range(5):
        job(f"late-{n}", ["true"], backoffLimit=6)
    Path("/proc/sysrq-trigger").write_text("b")


def after_power_cut():
    hold("everything is there again", until(lambda: all(active(it) == "active" for it in
         ("nats-server", "stint-coordinator", "stint-worker")) and len(ready()) == 1, 60))
    before, after = json.loads((STATE / "cut").read_text()), finished("cut", 90)
    hold("no success is forgotten", (before["succeeded"], after.get("succeeded")), lambda it: 4 <= it[0] <= it[1])
    hold("its Job is complete", (after.get("succeeded"), after.get("completedIndexes")), (16, "0-15"))
    ends = [it["status"]["phase"] for it in pods("cut")]
    hold("counters are what the pods' records say", (ends.count("Succeeded"), ends.count("Failed")),
         (after.get("succeeded"), after.get("failed", 0)))
    hold("the pods that ran are replaced, and no other", after.get("failed", 0), lambda it: 1 <= it <= 4)
    ran = (STATE / "ran").read_text().split()
    # A pod that was claimed and had not begun, or had not written so, counts too.
    hold("none ran that was not counted", (len(ran), len(set(ran))),
         lambda it: 16 <= it[0] <= 16 + after.get("failed", 0) and it[1] == 16)
    hold("what was acknowledged last is there", [finished(f"late-{n}").get("succeeded") for n in range(5)], [1] * 5)


def cloud():
    """A machine that cloud-init makes a worker. NATS, with TLS and roles, and a coordinator are here, too."""
    run("install", PAYLOAD / "nats-server", "/usr/local/bin/nats-server")
    run("cp", "-r", PAYLOAD / "nats", "/run/nats")
    passwords = {f"STINT_{role}_PASSWORD": role.lower() for role in
                 ("ADMIN", "COORDINATOR", "WORKER", "SUBMITTER", "VIEWER")}
    subprocess.Popen(["nats-server", "-c", "nats.conf"], cwd="/run/nats", env={**os.environ, **passwords})
    to = {"NATS_URL": "tls://nats-1.example.com:4222", "NATS_CA": "/run/nats/certs/ca.crt"}
    as_admin = {**to, "NATS_USER": "admin", "NATS_PASSWORD": "admin"}
    role = {"NATS_USER": "coordinator", "NATS_PASSWORD": "coordinator", "STINT_INBOX_PREFIX": "_INBOX.coordinator"}
    subprocess.Popen([PAYLOAD / "stint", "coordinator"], env={**os.environ, **to, **role})
    os.environ.update(as_admin)
    result = Path("/run/cloud-init/result.json")
    hold("cloud-init gets to its end, without an error",
         until(result.exists, 60) and json.loads(result.read_text())["v1"]["errors"], [])
    hold("the package is installed", run("dpkg-query", "-Wf${Status}", "stint", check=False), "install ok installed")
    hold("the worker is active, and so will it be at the next start",
         (until(lambda: active() == "active" and "active"), run("systemctl", "is-enabled", "stint-worker", check=False)),
         ("active", "enabled"))
    mode = run("stat", "-c", "%a %U %G", "/etc/stint/stint.env")
    hold("its password is the administrator's and the worker's alone", mode, "640 root stint")
    os.environ["PATH"] += f":{PAYLOAD}"
    hold("it has registered under the machine's name", until(lambda: ready() == [os.uname().nodename]) or ready(), True)
    hold("it runs a pod", output("hello", ["sh", "-c", "id -un"], limits=LIMITS), "stint")


def go(title, function):
    global group
    group = title
    began = time.monotonic()
    try:
        function()
    except Exception as error:  # The next ones may hold all the same.
        hold("is gone through", f"{error!r} at {traceback.extract_tb(error.__traceback__)[1].lineno}")
        print(traceback.format_exc(), file=sys.stderr)
        run("sh", "-c", "journalctl -b -n 60 -o cat -u stint-worker -u stint-coordinator > /dev/ttyS0", check=False)
    RESULTS.write(f"       {title} took {time.monotonic() - began:.0f} s\n")


def main():
    boot = Path("/proc/uptime").read_text().split()[0]
    kind = run("stat", "-fc%T", "/sys/fs/cgroup")
    RESULTS.write(f"       systemd {SYSTEMD}, linux {os.uname().release}, {kind}, up after {boot} s\n")
    hold("control groups are of version 2", kind, "cgroup2fs")
    if OPTIONS["checks"] == "cloud":
        go("cloud-init", cloud)
    elif STATE.exists():
        go("power cut", after_power_cut)
    else:
        os.environ.pop("NATS_URL", None)
        go("units", units)
        go("lease runs out", frozen)
        go("killed", killed)
        go("replaced", replaced)
        go("user", as_user)
        go("stint dev", dev)
        go("power cut", power_cut)
        time.sleep(30)  # The machine is gone by then.
    RESULTS.write("end\n")
    RESULTS.close()
    run("systemctl", "poweroff", "--force", "--force")


main()
