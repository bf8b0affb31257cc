//! Trees of small and of huge Jobs.

use super::*;
use crate::output::trace::critical_path;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap()
}

fn pod(slot: u32, attempt: u32, times: [i64; 3], what: Option<&str>) -> PodTrace {
    let [created, started, finished] = times;
    PodTrace {
        slot: Some(slot),
        index: Some(slot),
        attempt,
        name: format!("a-{slot}"),
        node: Some("w-1".to_owned()),
        created: at(created),
        claimed: Some(at(created + 5)),
        started: Some(at(started)),
        finished: Some(at(finished)),
        fate: if what.is_some() { Fate::Failed } else { Fate::Succeeded },
        what: what.map(str::to_owned),
        restarts: 0,
    }
}

fn job(until: i64, succeeded: u64, failed: u64) -> JobTrace {
    JobTrace {
        name: "default/a".to_owned(),
        status: "Complete",
        why: None,
        created: at(0),
        until: at(until),
        over: true,
        trace: None,
        span: None,
        succeeded,
        failed,
    }
}

fn shown(job: &JobTrace, pods: &[PodTrace], width: Option<usize>) -> String {
    let path = critical_path(pods, job.created, job.until);
    render(job, pods, &path, Show { all: false, width, style: Style::Plain })
}

#[test]
fn a_small_job_is_shown_whole() {
    let pods = [
        pod(0, 0, [0, 10, 1000], None),
        pod(1, 0, [0, 10, 500], Some("exit code 3")),
        pod(1, 1, [10_500, 10_510, 12_000], None),
    ];
    let expect = "\
job default/a  Complete after 12.00s
  3 pods: 2 succeeded, 1 failed, 0 open; 1 retry; on 1 worker
  wait in the queue: 5ms median, 5ms at most
  run time: 990ms median, 1.49s at most
  critical path: 2 pods, 1.98s of running and 10.02s of waiting
    1: waited 10ms, ran 490ms, exit code 3
    1 (attempt 1): waited 10.01s, ran 1.49s
  0                 990ms  queued 5ms       w-1  ✓
  1                 490ms  queued 5ms       w-1  ✗ exit code 3  ◆
    attempt 1       1.49s  queued 5ms       w-1  ✓  ◆
";
    assert_eq!(shown(&job(12_000, 2, 1), &pods, None), expect);
    let drawn = shown(&job(12_000, 2, 1), &pods, Some(100));
    let lines: Vec<&str> = drawn.lines().skip(7).collect();
    assert!(lines[0].starts_with("├─ 0 ") && lines[2].starts_with("   attempt 1"), "{drawn}");
    assert!(lines[0].contains("▕██") && lines[2].contains("██▏"), "{drawn}");
    let widths: Vec<usize> =
        lines.iter().map(|line| line.chars().take_while(|it| *it != '▏').count()).collect();
    assert_eq!(widths[0], widths[1], "{drawn}");
    assert!(drawn.lines().all(|line| line.chars().count() <= 100), "{drawn}");
}

#[test]
fn of_a_huge_job_what_matters_is_shown() {
    let mut pods: Vec<PodTrace> = (0..100_000_u32)
        .map(|slot| {
            let start = i64::from(slot) * 2;
            pod(slot, 0, [start, start + 5, start + 100], None)
        })
        .collect();
    pods[70_000] = pod(70_000, 0, [140_000, 140_005, 140_400], Some("exit code 9"));
    pods[80_000] = pod(80_000, 0, [160_000, 160_005, 190_000], None);
    let text = shown(&job(200_200, 99_999, 1), &pods, None);
    let lines = text.lines().count();
    assert!(lines < 60, "{lines}");
    assert!(text.contains("  70000 ") && text.contains("exit code 9"), "{text}");
    assert!(text.contains("  80000 ") && text.contains("30.00s"), "{text}");
    assert!(text.contains("99960 pods more: 99960 succeeded; run time: 95ms median"), "{text}");
}
