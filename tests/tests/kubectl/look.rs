//! Getting, describing, explaining.

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::timeout;

use super::{LIMIT, kubectl, manifest};

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_printed_in_all_forms() {
    let Some(kubectl) = kubectl("kubectl-get").await else { return };
    for (name, completions) in [("b", 1), ("a", 2)] {
        let spec = format!("  completions: {completions}\n");
        let file = kubectl.file("get.yaml", &manifest(name, &spec, "true"));
        kubectl.run(&format!("create -f {file}")).await.ok();
    }
    kubectl.run("wait --for=condition=complete jobs --all --timeout=60s").await.ok();
    let rows = kubectl.run("get jobs").await.rows();
    assert_eq!(rows[0], ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"]);
    assert_eq!(&rows[1][..3], ["a", "Complete", "2/2"]);
    let wide = kubectl.run("get job a -o wide").await.rows();
    assert_eq!(&wide[0][5..], ["CONTAINERS", "IMAGES", "SELECTOR"]);
    assert_eq!(&wide[1][5..7], ["main", "host"]);
    assert!(wide[1][7].starts_with("batch.kubernetes.io/controller-uid="), "{wide:?}");
    let pods = kubectl.run("get pods -l job-name=b").await.rows();
    assert_eq!(pods[0], ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]);
    assert_eq!(&pods[1][1..4], ["0/1", "Completed", "0"]);

    let sorted =
        "get jobs --sort-by=.spec.completions --no-headers -o custom-columns=N:.metadata.name";
    assert_eq!(kubectl.run(sorted).await.ok(), "b\na\n");
    let sorted = kubectl.run("get jobs --sort-by=.spec.completions").await.rows();
    assert_eq!((sorted[1][0].as_str(), sorted[2][0].as_str()), ("b", "a"));
    let path = "get job a -o jsonpath={.status.succeeded}";
    assert_eq!(kubectl.run(path).await.ok(), "2");
    assert!(kubectl.run("get job a -o yaml").await.ok().starts_with("apiVersion: batch/v1\n"));
    assert_eq!(kubectl.json("job/a").await["kind"], "Job");
    let all = kubectl.run("get all").await.ok();
    assert!(all.contains("job.batch/a") && all.contains("pod/a-"), "{all}");
    let everywhere = kubectl.run("get jobs -A").await.ok();
    assert!(everywhere.starts_with("NAMESPACE") && everywhere.contains(&kubectl.namespace));
    let chunks = kubectl.run("get jobs --chunk-size=1 -o name").await.ok();
    assert_eq!(chunks, "job.batch/a\njob.batch/b\n");
    let field = kubectl.run("get jobs --field-selector=metadata.name=b -o name").await.ok();
    assert_eq!(field, "job.batch/b\n");
    let labels = kubectl.run("get jobs --show-labels").await.rows();
    assert_eq!(labels[1].last().map(String::as_str), Some("app=a"));
    let chunks = kubectl.run("get pods --chunk-size=1 -o name").await.ok();
    assert_eq!(chunks.lines().count(), 3, "{chunks}");
    let columns = "get pods -l job-name=b --no-headers \
                   -o custom-columns=P:.status.phase,N:.spec.nodeName,X:.spec.nope";
    assert_eq!(kubectl.run(columns).await.rows(), [["Succeeded", "worker-0", "<none>"]]);
    let labels = kubectl.run("get pods -L job-name").await.rows();
    assert_eq!(labels[0].last().map(String::as_str), Some("JOB-NAME"));
    assert_eq!(labels[3].last().map(String::as_str), Some("b"), "{labels:?}");
    for (field, count) in [
        ("status.phase=Succeeded", 3),
        ("status.phase!=Succeeded", 0),
        ("spec.nodeName=worker-0,spec.hostNetwork=false", 3),
        ("spec.nodeName=elsewhere", 0),
        ("status.podIP=192.0.2.1", 0),
    ] {
        let found = kubectl.run(&format!("get pods --field-selector={field} -o name")).await.ok();
        assert_eq!(found.lines().count(), count, "{field}: {found}");
    }
    let events = "get events --field-selector=involvedObject.name=b,reason=Completed -o name";
    assert_eq!(kubectl.run(events).await.ok().lines().count(), 1);
    let nothing = kubectl.run("get pods -n kubectl-nothing-here").await;
    assert_eq!(nothing.err, "No resources found in kubectl-nothing-here namespace.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_printed_as_they_come() {
    let Some(kubectl) = kubectl("kubectl-watch").await else { return };
    let file = kubectl.file("w.yaml", &manifest("w", "  suspend: true\n", "true"));
    kubectl.run(&format!("create -f {file}")).await.ok();
    let mut watch = kubectl.start("get jobs -w");
    let output = watch.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(output).lines();
    let mut next = async || {
        let line = timeout(LIMIT, lines.next_line()).await.expect("it goes on").unwrap();
        line.expect("the watch goes on")
    };
    assert!(next().await.starts_with("NAME"));
    assert!(next().await.starts_with("w "));
    let resume = r#"{"spec":{"suspend":false}}"#;
    kubectl.run(&format!("patch job w -p {resume}")).await.ok();
    while !next().await.contains("Complete") {}
    watch.kill().await.expect("it runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_described() {
    let Some(kubectl) = kubectl("kubectl-describe").await else { return };
    let file = kubectl.file("d.yaml", &manifest("d", "", "exit 3"));
    kubectl.run(&format!("create -f {file}")).await.ok();
    kubectl.run("wait --for=jsonpath={.status.failed} job/d --timeout=60s").await.ok();
    let job = kubectl.run("describe job d").await.ok();
    for wanted in ["Name:             d\n", "Pods Statuses:", "Command:\n      sh"] {
        assert!(job.contains(wanted), "no {wanted:?} in:\n{job}");
    }
    let pod = kubectl.run("describe pods -l job-name=d").await.ok();
    for wanted in ["Controlled By:  Job/d\n", "Exit Code:    3\n", "Container ID:  process://"] {
        assert!(pod.contains(wanted), "no {wanted:?} in:\n{pod}");
    }
    kubectl.run("delete job d").await.ok();
    let said = kubectl.run("describe node worker-0").await;
    assert_eq!(said.err, "");
    let node = said.ok();
    for wanted in ["HolderIdentity:  worker-0\n", "RenewTime: "] {
        assert!(node.contains(wanted), "no {wanted:?} in:\n{node}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_explains_itself() {
    let Some(kubectl) = kubectl("kubectl-explain").await else { return };
    let explained = kubectl.run("explain job.spec.podFailurePolicy").await.ok();
    for wanted in ["GROUP:      batch\n", "FIELD: podFailurePolicy <PodFailurePolicy>", "rules\t"] {
        assert!(explained.contains(wanted), "no {wanted:?} in:\n{explained}");
    }
    let all = kubectl.run("explain pods.spec.containers --recursive").await.ok();
    assert!(all.contains("volumeMounts\t<[]VolumeMount>"), "{all}");
    let resources = kubectl.run("api-resources --no-headers").await.rows();
    let kind = |name: &str| resources.iter().find(|row| row[0] == name).and_then(|row| row.last());
    assert_eq!(kind("jobs").map(String::as_str), Some("Job"));
    assert_eq!(kind("pods").map(String::as_str), Some("Pod"));
    let versions = kubectl.run("api-versions").await.ok();
    assert!(versions.contains("batch/v1\n"), "{versions}");
    let version = kubectl.run("version -o json").await.ok();
    assert!(version.contains("stint"), "{version}");
    assert_eq!(kubectl.run("get --raw /readyz").await.ok(), "ok");
}
