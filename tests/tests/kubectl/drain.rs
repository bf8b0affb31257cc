//! Draining a node.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;
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
    let node = nodes_of(&kubectl.json("pods").await).into_iter().next().expect("a pod runs");
    let said = kubectl.run(&format!("drain {node} --timeout=60s --grace-period=1")).await.ok();
    assert!(said.contains(&format!("node/{node} drained")), "{said}");
    ready(&kubectl).await;
    let left = nodes_of(&kubectl.json("pods").await);
    assert!(left.len() == 1 && !left.contains(&node), "{left:?} without {node}");
    let job = kubectl.json("job/work").await;
    assert!(job["status"].get("failed").is_none(), "{job}");
    kubectl.run(&format!("uncordon {node}")).await.ok();
    let rows = kubectl.run("get nodes").await.rows();
    assert!(rows.iter().skip(1).all(|row| row[1] == "Ready"), "{rows:?}");
}
