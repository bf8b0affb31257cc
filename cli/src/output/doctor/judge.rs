//! From what was seen to findings.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use stint_common::time::{human_seconds, since};

use super::{Finding, Level, NodeView, Promise, Report, Seen, counted, do_so};
use crate::output::count::bytes;

/// Older servers can lose a whole stream when they are killed.
const MINIMUM_SERVER: (u64, u64, u64) = (2, 10, 23);
/// From here on many writes go to the disk as one.
const BATCHES: (u64, u64, u64) = (2, 12, 0);
/// A larger difference of clocks shows in times and deadlines.
const SKEW: i64 = 1000;
/// And a larger one than this makes deadlines wrong.
const WRONG: i64 = 30_000;
/// A coordinator that answers more slowly is in trouble.
const SLOW: Duration = Duration::from_millis(500);
/// A work item that is older has waited for very long.
const OLD_ITEM: Duration = Duration::from_secs(900);
/// Of storage that is used up to here there is too little left.
const NEARLY_FULL: f64 = 0.9;
/// More than this of an owner's lease may pass unrenewed only while another takes over.
const OWNER_SILENT: Duration = Duration::from_secs(5);

/// Judges.
#[must_use]
pub fn judge(seen: &Seen, now: Timestamp) -> Report {
    let mut report = Report::default();
    let findings = &mut report.findings;
    findings.push(server(seen));
    findings.push(storage(seen));
    findings.extend(streams(seen));
    findings.push(sync(seen));
    findings.push(clock(seen));
    findings.push(coordinators(seen));
    findings.push(owner(seen));
    findings.push(api(seen));
    findings.extend(workers(seen));
    findings.extend(consumers(seen));
    findings.extend(items(seen, now));
    report.promises = promises(seen);
    report
}

fn finding(about: &'static str, level: Level, what: impl Into<String>) -> Finding {
    Finding { about, level, what: what.into(), next: None }
}

impl Finding {
    fn next(mut self, next: &str) -> Self {
        self.next = Some(next.to_owned());
        self
    }
}

fn version(text: &str) -> (u64, u64, u64) {
    let mut parts =
        text.trim_start_matches('v').split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next())
}

fn server(seen: &Seen) -> Finding {
    let Seen { url, server_version, round_trip, .. } = seen;
    let millis = round_trip.as_secs_f64() * 1e3;
    let what = format!("nats-server {server_version} at {url}, {millis:.1} ms away");
    match version(server_version) {
        old if old < MINIMUM_SERVER => finding("server", Level::Bad, what).next(
            "update it: versions before 2.10.23 can lose a whole stream when they are killed",
        ),
        old if old < BATCHES => finding("server", Level::Warning, what)
            .next("2.12 and later write groups at once: much faster with sync_interval: always"),
        _ => finding("server", Level::Ok, what),
    }
}

fn storage(seen: &Seen) -> Finding {
    let account = match &seen.account {
        Ok(account) => account,
        Err(why) => {
            return finding("JetStream", Level::Bad, format!("does not answer: {why}"))
                .next("start nats-server with `jetstream { store_dir: … }`; or these credentials may not ask");
        }
    };
    let used = account["storage"].as_u64().unwrap_or(0);
    let limit = account["limits"]["max_storage"].as_i64().and_then(|it| u64::try_from(it).ok());
    let streams = account["streams"].as_u64().unwrap_or(0);
    let what = format!("{} in {}", bytes(used), counted(streams, "stream"));
    let Some(limit) = limit.filter(|limit| *limit > 0) else {
        return finding(
            "JetStream",
            Level::Ok,
            format!("{what}; the account has no limit of its own"),
        );
    };
    let what = format!("{what}, of {} that the account may use", bytes(limit));
    if share(used, limit) > NEARLY_FULL {
        return finding("JetStream", Level::Bad, what)
            .next("raise the account's limit: a full store takes no Jobs and no ends of pods");
    }
    finding("JetStream", Level::Ok, what)
}

fn streams(seen: &Seen) -> Vec<Finding> {
    seen.streams.iter().map(|(name, info)| stream(name, info)).collect()
}

fn stream(name: &str, info: &Result<Value, String>) -> Finding {
    let info = match info {
        Ok(info) => info,
        Err(why) => {
            let next = if why.contains("not found") {
                "a coordinator makes it at its start"
            } else {
                "a quorum of its servers must run; they choose a leader within seconds"
            };
            return finding("stream", Level::Bad, format!("{name}: {why}")).next(next);
        }
    };
    let replicas = info["config"]["num_replicas"].as_u64().unwrap_or(1);
    let messages = info["state"]["messages"].as_u64().unwrap_or(0);
    let size = bytes(info["state"]["bytes"].as_u64().unwrap_or(0));
    let what = format!(
        "{name}: {} of {}, {size}",
        counted(replicas, "copy"),
        counted(messages, "message")
    );
    let others = info["cluster"]["replicas"].as_array().into_iter().flatten();
    let behind: Vec<&str> = others
        .filter(|it| it["current"] == false || it["offline"] == true)
        .filter_map(|it| it["name"].as_str())
        .collect();
    if info["cluster"].is_object() && info["cluster"]["leader"].as_str().unwrap_or("").is_empty() {
        return finding("stream", Level::Bad, format!("{what}; it has no leader"))
            .next("a quorum of its servers must run");
    }
    if !behind.is_empty() {
        let what = format!("{what}; not up to date: {}", behind.join(", "));
        return finding("stream", Level::Warning, what);
    }
    let limit = info["config"]["max_bytes"].as_i64().and_then(|it| u64::try_from(it).ok());
    let used = info["state"]["bytes"].as_u64().unwrap_or(0);
    if info["config"]["discard"] == "new"
        && limit.is_some_and(|limit| limit > 0 && share(used, limit) > NEARLY_FULL)
    {
        return finding("stream", Level::Bad, format!("{what}; nearly full"));
    }
    finding("stream", Level::Ok, what)
}

/// Whether every acknowledged write is on disk; `None` if nobody says.
fn synced(seen: &Seen) -> Option<bool> {
    let monitor = seen.monitor.as_ref()?.as_ref().ok()?;
    // Either is left out where it is not set.
    let config = &monitor["config"];
    Some(config["sync_always"] == true || config["sync_interval"] == 0)
}

fn sync(seen: &Seen) -> Finding {
    let finding = |level, what: &str| finding("power loss", level, what);
    match (&seen.monitor, synced(seen)) {
        (_, Some(true)) => finding(Level::Ok, "every acknowledged write is on disk"),
        (_, Some(false)) => finding(
            Level::Warning,
            "writes are flushed to disk now and then: the last of them go with the power",
        )
        .next("`sync_interval: always` in `jetstream {…}`; deploy/nats-server.conf has it"),
        (Some(Err(why)), None) => {
            finding(Level::Unknown, &format!("the monitoring port does not answer: {why}"))
        }
        _ => finding(Level::Unknown, "only nats-server's monitoring port tells its sync_interval")
            .next("--monitor http://HOST:8222, where nats-server has `http: HOST:8222`"),
    }
}

fn clock(seen: &Seen) -> Finding {
    let Some(skew) = seen.skew_ms else {
        return finding("clocks", Level::Unknown, "the server does not tell its time");
    };
    let what = format!("nats-server's clock and this machine's differ by {} ms", skew.abs());
    match skew.abs() {
        WRONG.. => finding("clocks", Level::Bad, what)
            .next("synchronise the clocks (chrony, systemd-timesyncd)"),
        SKEW.. => finding("clocks", Level::Warning, what)
            .next("synchronise the clocks (chrony, systemd-timesyncd)"),
        _ => finding("clocks", Level::Ok, what),
    }
}

fn coordinators(seen: &Seen) -> Finding {
    let versions: Vec<&str> =
        seen.coordinators.iter().filter_map(|it| it["version"].as_str()).collect();
    let what = format!("{} ({})", counted(versions.len(), "coordinator"), versions.join(", "));
    let finding = |level, what: String| finding("coordinators", level, what);
    match versions.len() {
        0 => finding(Level::Bad, "none answers".to_owned()).next("stint coordinator"),
        1 => finding(Level::Warning, what)
            .next("a second one takes over within 5 s when the first dies"),
        _ if versions.iter().any(|version| *version != versions[0]) => {
            finding(Level::Warning, what)
                .next("an upgrade is under way? They should be of one version")
        }
        _ => finding(Level::Ok, what),
    }
}

fn owner(seen: &Seen) -> Finding {
    let finding = |level, what: String| finding("owner", level, what);
    match &seen.owner {
        Err(why) => finding(Level::Unknown, format!("its lease cannot be read: {why}")),
        Ok(None) => finding(Level::Bad, "no coordinator has ever been the owner".to_owned()),
        Ok(Some((lease, age))) => {
            let who = lease["incarnation"].as_str().unwrap_or("?");
            let what = format!("{who}, renewed {:.1} s ago", age.as_secs_f64());
            if *age > OWNER_SILENT || lease["released"] == true {
                finding(Level::Bad, format!("none: the last was {what}"))
                    .next("nothing is started or counted: look at the coordinators' logs")
            } else {
                finding(Level::Ok, what)
            }
        }
    }
}

fn api(seen: &Seen) -> Finding {
    match &seen.api {
        Ok(took) if *took > SLOW => {
            finding("API", Level::Warning, format!("answers after {} ms", took.as_millis()))
        }
        Ok(took) => finding("API", Level::Ok, format!("answers after {} ms", took.as_millis())),
        Err(why) => finding("API", Level::Bad, why.clone()),
    }
}

fn workers(seen: &Seen) -> Vec<Finding> {
    let nodes: Vec<NodeView<'_>> = seen.nodes.iter().map(NodeView).collect();
    let ready = nodes.iter().filter(|node| node.is_ready()).count();
    let what = format!("{ready} of {} ready", counted(nodes.len(), "worker"));
    let mut found = vec![match (ready, nodes.len()) {
        (0, _) => finding("workers", Level::Bad, what)
            .next("stint worker, on any machine that reaches NATS"),
        _ => finding("workers", Level::Ok, what),
    }];
    for node in nodes.iter().filter(|node| !node.is_ready()) {
        let what = format!("{}: {}", node.name(), node.why_not_ready());
        found.push(
            finding("worker", Level::Warning, what)
                .next("start it again, or another of this name; its pods were ended"),
        );
    }
    let cordoned: Vec<&str> =
        nodes.iter().filter(|node| node.is_cordoned()).map(|node| node.name()).collect();
    if !cordoned.is_empty() {
        found.push(finding(
            "workers",
            Level::Warning,
            format!("cordoned: {}", cordoned.join(", ")),
        ));
    }
    let other = nodes.iter().filter(|node| {
        let version = node.0["status"]["nodeInfo"]["kubeletVersion"].as_str().unwrap_or_default();
        version != format!("v{}-stint", seen.own_version)
    });
    let other: Vec<&str> = other.map(|node| node.name()).collect();
    if !other.is_empty() {
        let what = format!("not of this version ({}): {}", seen.own_version, other.join(", "));
        found.push(finding("workers", Level::Warning, what));
    }
    found
}

fn consumers(seen: &Seen) -> Vec<Finding> {
    let consumers = match &seen.consumers {
        Ok(consumers) => consumers,
        Err(why) => {
            return vec![finding("queue", Level::Unknown, format!("cannot be looked at: {why}"))];
        }
    };
    let mut found = Vec::new();
    let (mut pending, mut waiting) = (0, 0);
    for consumer in consumers {
        let number = |field: &str| consumer[field].as_u64().unwrap_or(0);
        pending += number("num_pending");
        waiting += number("num_waiting");
        if number("num_pending") > 0 && number("num_waiting") == 0 && number("num_ack_pending") == 0
        {
            let what = format!(
                "{}: {}",
                consumer["name"].as_str().unwrap_or("?"),
                do_so(
                    number("num_pending"),
                    "item",
                    "waits, and no worker asks for it",
                    "wait, and no worker asks for them",
                )
            );
            found.push(
                finding("queue", Level::Warning, what)
                    .next("`stint explain JOB` says what their Jobs need of a worker"),
            );
        }
    }
    if consumers.is_empty() {
        found.push(
            finding("queue", Level::Bad, "it has no consumer")
                .next("the owner makes them anew within seconds"),
        );
    } else if found.is_empty() {
        let what = format!(
            "{}, {}, {}",
            counted(consumers.len(), "consumer"),
            do_so(pending, "item", "waits", "wait"),
            do_so(waiting, "pull", "of workers stands", "of workers stand")
        );
        found.push(finding("queue", Level::Ok, what));
    }
    found
}

fn items(seen: &Seen, now: Timestamp) -> Option<Finding> {
    let (_, work) = seen.streams.iter().find(|(name, _)| name.ends_with("_WORK"))?;
    let state = &work.as_ref().ok()?["state"];
    if state["messages"].as_u64().unwrap_or(0) == 0 {
        return None;
    }
    let oldest: Timestamp = state["first_ts"].as_str()?.parse().ok()?;
    let age = since(now, oldest);
    (age > OLD_ITEM).then(|| {
        let what = format!("the oldest work item has waited for {}", human_seconds(age.as_secs()));
        finding("queue", Level::Warning, what).next(
            "full workers, or a class that none of them fits: `stint top`, `stint explain JOB`",
        )
    })
}

fn promises(seen: &Seen) -> Vec<Promise> {
    let ready = seen.nodes.iter().any(|node| NodeView(node).is_ready());
    let lives = seen.account.is_ok() && !seen.coordinators.is_empty() && ready;
    let supported = version(&seen.server_version) >= MINIMUM_SERVER;
    let replicas = seen
        .streams
        .iter()
        .filter_map(|(_, info)| info.as_ref().ok()?["config"]["num_replicas"].as_u64())
        .min();
    let file = seen
        .streams
        .iter()
        .all(|(_, info)| info.as_ref().is_ok_and(|info| info["config"]["storage"] == "file"));
    let power = synced(seen);
    let lost = match replicas {
        Some(replicas @ 3..) => format!("{replicas} copies: one server may be lost"),
        _ => "one copy: what is on the server's disk is all there is".to_owned(),
    };
    let after_power = match power {
        Some(true) => "; power loss loses nothing",
        Some(false) => "; power loss may lose the last writes",
        None => "; of power loss nothing is known (--monitor)",
    };
    let skewed = seen.skew_ms.is_some_and(|skew| skew.abs() >= WRONG);
    let promise = |number, what, holds, why: String| Promise { number, what, holds, why };
    vec![
        promise(
            1,
            "every accepted Job ends",
            Some(lives),
            if lives {
                String::new()
            } else {
                "JetStream, a coordinator and a ready worker are needed".to_owned()
            },
        ),
        promise(2, "every termination is counted once", Some(supported), String::new()),
        promise(
            3,
            "no pod runs twice",
            Some(supported),
            if skewed {
                "leases count durations, so clocks that differ change nothing".to_owned()
            } else {
                String::new()
            },
        ),
        promise(
            4,
            "nothing acknowledged is lost by a kill",
            Some(supported && file),
            format!("{lost}{after_power}"),
        ),
        promise(
            5,
            "a manifest means what it means in Kubernetes",
            Some(true),
            "what cannot be done is refused by name".to_owned(),
        ),
    ]
}

fn share(used: u64, limit: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a share, not a count")]
    let (used, limit) = (used as f64, limit as f64);
    used / limit
}
