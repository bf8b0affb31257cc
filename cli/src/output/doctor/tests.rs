//! Installations that are well, and that are not.

use jiff::Timestamp;
use serde_json::json;

use super::*;

fn well() -> Seen {
    let info = json!({"config": {"num_replicas": 3, "storage": "file"},
        "cluster": {"leader": "a", "replicas": [{"name": "b", "current": true}]},
        "state": {"messages": 2, "bytes": 2048, "first_ts": "2026-01-01T00:00:00Z"}});
    Seen {
        url: "nats://a".to_owned(),
        server_version: "2.15.1".to_owned(),
        round_trip: Duration::from_millis(1),
        account: Ok(json!({"storage": 1 << 30, "streams": 5, "limits": {"max_storage": -1}})),
        streams: vec![
            ("STINT_OBJECTS".to_owned(), Ok(info.clone())),
            ("STINT_WORK".to_owned(), Ok(info)),
        ],
        consumers: Ok(vec![json!({"name": "c", "num_pending": 3, "num_waiting": 1})]),
        skew_ms: Some(2),
        coordinators: vec![json!({"version": "0.1.0"}), json!({"version": "0.1.0"})],
        owner: Ok(Some((json!({"incarnation": "i", "released": false}), Duration::from_secs(1)))),
        api: Ok(Duration::from_millis(3)),
        nodes: vec![json!({"metadata": {"name": "w"}, "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"kubeletVersion": "v0.1.0-stint"}}})],
        monitor: Some(Ok(json!({"config": {"sync_always": true}}))),
        own_version: "0.1.0",
    }
}

fn at() -> Timestamp {
    "2026-01-01T00:00:10Z".parse().unwrap()
}

fn level(seen: &Seen, about: &str) -> Level {
    let report = judge(seen, at());
    report.findings.iter().filter(|it| it.about == about).map(|it| it.level).max().unwrap()
}

fn holds(seen: &Seen, number: u8) -> Option<bool> {
    judge(seen, at()).promises.iter().find(|it| it.number == number).unwrap().holds
}

#[test]
fn what_is_well_is_well() {
    let report = judge(&well(), at());
    assert!(report.findings.iter().all(|it| it.level == Level::Ok), "{report:#?}");
    assert!(!report.is_bad() && report.promises.iter().all(|it| it.holds == Some(true)));
    let text = report.render(Style::Plain);
    assert!(
        text.contains("ok       server          nats-server 2.15.1 at nats://a, 1.0 ms away\n"),
        "{text}"
    );
    assert!(
        text.contains("holds    4. nothing acknowledged is lost by a kill: 3 copies"),
        "{text}"
    );
}

#[test]
fn what_is_not_well_is_said() {
    let check = |about: &str, expect: Level, change: fn(&mut Seen)| {
        let mut seen = well();
        change(&mut seen);
        assert_eq!(level(&seen, about), expect, "{about}");
    };
    check("server", Level::Bad, |seen| seen.server_version = "2.10.22".to_owned());
    check("server", Level::Warning, |seen| seen.server_version = "2.11.4".to_owned());
    check("JetStream", Level::Bad, |seen| seen.account = Err("no answer".to_owned()));
    check("JetStream", Level::Bad, |seen| {
        seen.account = Ok(json!({"storage": 95, "limits": {"max_storage": 100}}));
    });
    check("stream", Level::Bad, |seen| seen.streams[0].1 = Err("stream not found".to_owned()));
    check("stream", Level::Warning, |seen| {
        let Ok(info) = &mut seen.streams[0].1 else { return };
        info["cluster"]["replicas"][0]["current"] = json!(false);
    });
    check("power loss", Level::Unknown, |seen| seen.monitor = None);
    check("power loss", Level::Warning, |seen| {
        seen.monitor = Some(Ok(json!({"config": {"sync_interval": 120_000_000_000_u64}})))
    });
    check("clocks", Level::Bad, |seen| seen.skew_ms = Some(-40_000));
    check("coordinators", Level::Bad, |seen| seen.coordinators.clear());
    check("coordinators", Level::Warning, |seen| seen.coordinators.truncate(1));
    check("owner", Level::Bad, |seen| {
        seen.owner = Ok(Some((json!({"incarnation": "i"}), Duration::from_secs(9))));
    });
    check("workers", Level::Bad, |seen| seen.nodes.clear());
    check("workers", Level::Warning, |seen| seen.own_version = "0.2.0");
    check("queue", Level::Warning, |seen| {
        seen.consumers = Ok(vec![json!({"name": "c", "num_pending": 3, "num_waiting": 0})]);
    });
    let mut old = well();
    let Ok(info) = &mut old.streams[1].1 else { return };
    info["state"]["first_ts"] = json!("2025-12-31T00:00:00Z");
    assert_eq!(level(&old, "queue"), Level::Warning);
}

#[test]
fn promises_follow_from_it() {
    let mut seen = well();
    seen.nodes.clear();
    assert_eq!((holds(&seen, 1), holds(&seen, 2)), (Some(false), Some(true)));
    seen.server_version = "2.10.1".to_owned();
    assert_eq!(holds(&seen, 4), Some(false));
}
