//! Creating, waiting, reading logs, deleting.

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::timeout;

use super::{LIMIT, kubectl, manifest};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_from_its_manifest_to_its_end() {
    let Some(kubectl) = kubectl("kubectl-run").await else { return };
    let spec = "  completions: 3\n  parallelism: 2\n  completionMode: Indexed\n";
    let text = manifest("pi", spec, "echo index $JOB_COMPLETION_INDEX");
    let file = kubectl.file("pi.yaml", &text);
    assert_eq!(kubectl.run(&format!("create -f {file}")).await.ok(), "job.batch/pi created\n");
    let twice = kubectl.run(&format!("create -f {file}")).await.fails();
    assert!(twice.contains("jobs.batch \"pi\" already exists"), "{twice}");
    let met = kubectl.run("wait --for=condition=complete job/pi --timeout=60s").await.ok();
    assert_eq!(met, "job.batch/pi condition met\n");
    kubectl.run("wait --for=jsonpath={.status.succeeded}=3 job/pi --timeout=60s").await.ok();
    let mut log = kubectl.run("logs -l job-name=pi --prefix=false").await.rows();
    log.sort();
    assert_eq!(log, [["index", "0"], ["index", "1"], ["index", "2"]]);
    let one = kubectl.run("logs job/pi").await;
    assert!(one.ok().starts_with("index "));
    kubectl.run("delete job pi").await.ok();
    let gone = kubectl.run("get job pi").await.fails();
    assert_eq!(gone, "Error from server (NotFound): jobs.batch \"pi\" not found\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_on_the_spot() {
    let Some(kubectl) = kubectl("kubectl-spot").await else { return };
    let created = kubectl.run("create job spot --image=busybox -- sh -c true").await;
    assert!(created.err.contains("Warning:"), "an image is not pulled: {created:?}");
    assert_eq!(created.ok(), "job.batch/spot created\n");
    kubectl.run("wait --for=condition=complete job/spot --timeout=60s").await.ok();
    let refused = kubectl.run("create job bare --image=perl:5.34").await.fails();
    assert!(refused.contains("spec.template.spec.containers[0].command: Required"), "{refused}");
    let failing = kubectl.run("create job bad --image=host -- sh -c false").await;
    failing.ok();
    let dry = kubectl.run("create job dry --image=host --dry-run=server -o name -- true").await;
    assert_eq!(dry.ok(), "job.batch/dry\n");
    kubectl.run("get job dry").await.fails();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_field_is_refused_or_warned_of() {
    let Some(kubectl) = kubectl("kubectl-strict").await else { return };
    let file = kubectl.file("odd.yaml", &manifest("odd", "  paralelism: 2\n", "true"));
    let refused = kubectl.run(&format!("create -f {file}")).await.fails();
    assert!(refused.contains("unknown field \"spec.paralelism\""), "{refused}");
    let warned = kubectl.run(&format!("create --validate=warn -f {file}")).await;
    assert!(warned.err.contains("Warning: unknown field \"spec.paralelism\""), "{warned:?}");
    warned.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_followed_and_cut() {
    let Some(kubectl) = kubectl("kubectl-logs").await else { return };
    let gate = kubectl.dir.path().join("gate");
    let script = format!(
        "echo one; echo two; until [ -e {} ]; do sleep 0.05; done; echo three",
        gate.display()
    );
    let file = kubectl.file("log.yaml", &manifest("log", "", &script));
    kubectl.run(&format!("create -f {file}")).await.ok();
    kubectl.run("wait --for=jsonpath={.status.ready}=1 job/log --timeout=60s").await.ok();
    let mut follow = kubectl.start("logs -f job/log");
    let output = follow.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(output).lines();
    std::fs::write(&gate, "").expect("it can be written to");
    let mut seen = Vec::new();
    while let Some(line) = timeout(LIMIT, lines.next_line()).await.expect("it goes on").unwrap() {
        seen.push(line);
    }
    assert_eq!(seen, ["one", "two", "three"]);
    assert!(timeout(LIMIT, follow.wait()).await.expect("it ends").unwrap().success());
    kubectl.run("wait --for=condition=complete job/log --timeout=60s").await.ok();
    assert_eq!(kubectl.run("logs job/log --tail=1").await.ok(), "three\n");
    assert_eq!(kubectl.run("logs job/log --limit-bytes=3").await.ok(), "one");
    assert_eq!(kubectl.run("logs job/log --since=1h --tail=1").await.ok(), "three\n");
    let stamped = kubectl.run("logs job/log --timestamps --tail=1").await.ok();
    assert!(stamped.ends_with("Z three\n"), "{stamped}");
    let previous = kubectl.run("logs job/log -p").await.fails();
    assert!(previous.contains("previous terminated container \"main\""), "{previous}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_deleted_in_three_ways() {
    let Some(kubectl) = kubectl("kubectl-delete").await else { return };
    for policy in ["background", "foreground", "orphan"] {
        // Orphans run to their ends, so theirs must come.
        let script = if policy == "orphan" { "sleep 1" } else { "sleep 600" };
        let file = kubectl.file("del.yaml", &manifest(policy, "", script));
        kubectl.run(&format!("create -f {file}")).await.ok();
        let ready = format!("wait --for=jsonpath={{.status.ready}}=1 job/{policy} --timeout=60s");
        kubectl.run(&ready).await.ok();
        let said = kubectl.run(&format!("delete job {policy} --cascade={policy}")).await.ok();
        assert!(said.starts_with(&format!("job.batch \"{policy}\" deleted")), "{said}");
        let gone = format!("wait --for=delete job/{policy} --timeout=60s");
        kubectl.run(&gone).await.ok();
    }
    for name in ["a", "b"] {
        let file = kubectl.file("many.yaml", &manifest(name, "  suspend: true\n", "true"));
        kubectl.run(&format!("create -f {file}")).await.ok();
    }
    kubectl.run("delete jobs -l app=a").await.ok();
    assert_eq!(kubectl.run("get jobs -o name").await.ok(), "job.batch/b\n");
    kubectl.run("delete jobs --all --wait=false").await.ok();
    kubectl.run("delete job b --ignore-not-found").await.ok();
    assert_eq!(kubectl.run("get jobs -o name").await.ok(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_deleted_and_replaced() {
    let Some(kubectl) = kubectl("kubectl-pod").await else { return };
    let file = kubectl.file("p.yaml", &manifest("p", "", "exec sleep 600"));
    kubectl.run(&format!("create -f {file}")).await.ok();
    kubectl.run("wait --for=jsonpath={.status.ready}=1 job/p --timeout=60s").await.ok();
    let pod = kubectl.run("get pods -o name").await.ok().trim().to_owned();
    kubectl.run(&format!("delete {pod} --grace-period=1")).await.ok();
    kubectl.run("wait --for=jsonpath={.status.ready}=1 job/p --timeout=60s").await.ok();
    let other = kubectl.run("get pods -o name").await.ok();
    assert!(!other.is_empty() && other.trim() != pod, "{other}");
    kubectl.run("delete job p").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_offered_says_what_to_do_instead() {
    let Some(kubectl) = kubectl("kubectl-instead").await else { return };
    let file = kubectl.file("i.yaml", &manifest("i", "", "exec sleep 600"));
    kubectl.run(&format!("create -f {file}")).await.ok();
    kubectl.run("wait --for=jsonpath={.status.ready}=1 job/i --timeout=60s").await.ok();
    let pod = kubectl.run("get pods -o name").await.ok();
    let pod = pod.trim();
    for (words, instead) in [
        ("run x --image=host".to_owned(), "kubectl create job"),
        (format!("exec {pod} -- ls"), "spec.nodeName"),
        (format!("attach {pod}"), "kubectl logs -f"),
        (format!("debug {pod} --image=host --profile=general"), "spec.nodeName"),
        (format!("port-forward {pod} :80"), "status.hostIP"),
        ("scale job/i --replicas=2".to_owned(), "spec.parallelism"),
    ] {
        let said = kubectl.run(&words).await.fails();
        assert!(
            said.contains("not supported by Stint") && said.contains(instead),
            "{words}: {said}"
        );
    }
    kubectl.run("delete job i --grace-period=1").await.ok();
}
