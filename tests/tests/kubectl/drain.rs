//! Draining a node.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};
use stint_tests::{Shape, World};

use super::{Kubectl, STINT, kubectl_in, manifest};

fn nodes_of(list: &Value) -> HashSet<String> {
    let pods = list["items"].as_array().into_iter().flatten();
    pods.filter_map(|pod| pod["spec"]["nodeName"].as_str()).map(str::to_owned).collect()
}

async fn ready(kubectl: &Kubectl) {
    kubectl.run("wait --for=jsonpath={.status.ready}=2 job/work --timeout=60s").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_has_no_pods_and_the_job_goes_on() {
    let world = Arc::new(World::start(STINT, Shape { workers: 2, ..Shape::default() }).await);
    let Some(kubectl) = kubectl_in(world, "drained").await else { return };
    let policy = "  completions: 2\n  parallelism: 2\n  backoffLimit: 0\n  podFailurePolicy:\n    \
                  rules:\n    - action: Ignore\n      onPodConditions:\n      - type: \
                  DisruptionTarget\n";
    let file = kubectl.file("work.yaml", &manifest("work", policy, "exec sleep 600"));
    kubectl.run(&format!("create -f {file}")).await.ok();
    ready(&kubectl).await;
    // Pods that have ended on both nodes: so many at once that neither had room for all.
    let meet = kubectl.dir.path().join("meet");
    std::fs::create_dir(&meet).expect("it can be made");
    let meet = meet.display();
    let script = format!(
        "touch {meet}/$JOB_COMPLETION_INDEX; until set -- {meet}/*; [ $# -ge 12 ]; do sleep 0.1; \
         done"
    );
    let spread = "  completions: 12\n  parallelism: 12\n  completionMode: Indexed\n";
    let file = kubectl.file("done.yaml", &manifest("done", spread, &script));
    kubectl.run(&format!("create -f {file}")).await.ok();
    kubectl.run("wait --for=condition=complete job/done --timeout=60s").await.ok();
    let ended = kubectl.json("pods -l job-name=done").await;
    assert_eq!(nodes_of(&ended).len(), 2, "both had some: {ended}");
    let node = nodes_of(&kubectl.json("pods").await).into_iter().next().expect("a pod runs");
    let said = kubectl
        .run(&format!("drain {node} --force --delete-emptydir-data --timeout=60s --grace-period=1"))
        .await
        .ok();
    assert!(said.contains(&format!("node/{node} drained")), "{said}");
    ready(&kubectl).await;
    let left = nodes_of(&kubectl.json("pods").await);
    assert!(left.len() == 1 && !left.contains(&node), "{left:?} without {node}");
    assert_eq!(kubectl.json("job/done").await["status"]["succeeded"], 12);
    let job = kubectl.json("job/work").await;
    assert!(job["status"].get("failed").is_none(), "{job}");
    kubectl.run(&format!("uncordon {node}")).await.ok();
    let rows = kubectl.run("get nodes").await.rows();
    assert!(rows.iter().skip(1).all(|row| row[1] == "Ready"), "{rows:?}");
    // What a worker is said to be like places pods, until it is said no more.
    kubectl.run(&format!("label node {node} disk=ssd")).await.ok();
    kubectl.run(&format!("taint node {node} mine=yes:NoSchedule")).await.ok();
    let labelled = kubectl.run("get nodes -l disk=ssd -o name").await.ok();
    assert_eq!(labelled.trim(), format!("node/{node}"));
    let taints = kubectl.json(&format!("node/{node}")).await["spec"]["taints"].clone();
    assert_eq!(taints, json!([{"key": "mine", "value": "yes", "effect": "NoSchedule"}]));
    kubectl.run(&format!("taint node {node} mine-")).await.ok();
    let pod = json!({"nodeSelector": {"disk": "ssd"}});
    let file =
        kubectl.file("chosen.yaml", &stint_tests::job("chosen").pod_spec(&pod).build().to_string());
    kubectl.run(&format!("create -f {file}")).await.ok();
    kubectl.run("wait --for=condition=complete job/chosen --timeout=30s").await.ok();
    let pods = kubectl.json("pods -l job-name=chosen").await;
    assert_eq!(nodes_of(&pods), HashSet::from([node]));
}
