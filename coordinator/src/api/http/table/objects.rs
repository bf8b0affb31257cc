//! Columns of ConfigMaps, Secrets, service accounts, namespaces, nodes, Events and Services.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{AGE, Columns, Head, NAME, age, name, or_none, since_time};

fn count(value: &Value) -> usize {
    value.as_object().map_or_else(|| value.as_array().map_or(0, Vec::len), serde_json::Map::len)
}

pub(super) static CONFIG_MAPS: Columns = Columns {
    heads: &[NAME, Head::text("Data", "How many entries it has."), AGE],
    cells: |map, now| {
        let entries = count(&map["data"]) + count(&map["binaryData"]);
        vec![name(map), json!(entries), age(map, now)]
    },
    conditions: |_| None,
};

pub(super) static SECRETS: Columns = Columns {
    heads: &[
        NAME,
        Head::text("Type", "What its entries are for."),
        Head::text("Data", "How many entries it has."),
        AGE,
    ],
    cells: |secret, now| {
        vec![name(secret), secret["type"].clone(), json!(count(&secret["data"])), age(secret, now)]
    },
    conditions: |_| None,
};

pub(super) static SERVICE_ACCOUNTS: Columns = Columns {
    heads: &[NAME, Head::text("Secrets", "How many Secrets it names."), AGE],
    cells: |account, now| vec![name(account), json!(count(&account["secrets"])), age(account, now)],
    conditions: |_| None,
};

pub(super) static NAMESPACES: Columns = Columns {
    heads: &[NAME, Head::text("Status", "Whether it can be used."), AGE],
    cells: |space, now| vec![name(space), space["status"]["phase"].clone(), age(space, now)],
    conditions: |_| None,
};

pub(super) static SERVICES: Columns = Columns {
    heads: &[
        NAME,
        Head::text("Type", "How it is reached."),
        Head::text("Cluster-IP", "Its address."),
        Head::text("External-IP", "Its address from outside."),
        Head::text("Port(s)", "Its ports."),
        AGE,
        Head::wide("Selector", "Which pods it leads to."),
    ],
    cells: |service, now| {
        let ports =
            service["spec"]["ports"].as_array().into_iter().flatten().map(|port| {
                format!("{}/{}", port["port"], port["protocol"].as_str().unwrap_or("TCP"))
            });
        vec![
            name(service),
            service["spec"]["type"].clone(),
            service["spec"]["clusterIP"].clone(),
            json!("<none>"),
            json!(ports.collect::<Vec<_>>().join(",")),
            age(service, now),
            json!("<none>"),
        ]
    },
    conditions: |_| None,
};

pub(super) static LEASES: Columns = Columns {
    heads: &[NAME, Head::text("Holder", "The worker that renews it."), AGE],
    cells: |lease, now| vec![name(lease), lease["spec"]["holderIdentity"].clone(), age(lease, now)],
    conditions: |_| None,
};

pub(super) static NODES: Columns = Columns {
    heads: &[
        NAME,
        Head::text("Status", "Whether the worker is alive, and takes pods."),
        Head::text("Roles", "What it is besides a worker."),
        AGE,
        Head::text("Version", "The worker's version."),
        Head::wide("Internal-IP", "Its address."),
        Head::wide("External-IP", "Its address from outside."),
        Head::wide("OS-Image", "Its operating system."),
        Head::wide("Kernel-Version", "Its kernel."),
        Head::wide("Container-Runtime", "What runs its pods."),
    ],
    cells: node,
    conditions: |_| None,
};

fn node(node: &Value, now: Timestamp) -> Vec<Value> {
    let status = &node["status"];
    let list = |member: &str| status[member].as_array().into_iter().flatten();
    let ready = list("conditions").find(|it| it["type"] == "Ready");
    let mut state = match ready.and_then(|ready| ready["status"].as_str()) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if node["spec"]["unschedulable"] == true {
        state.push_str(",SchedulingDisabled");
    }
    let address = |kind: &str| {
        let address = list("addresses").find(|it| it["type"] == kind);
        or_none(address.map_or(&Value::Null, |address| &address["address"]))
    };
    let info = &status["nodeInfo"];
    vec![
        name(node),
        json!(state),
        json!("<none>"),
        age(node, now),
        info["kubeletVersion"].clone(),
        address("InternalIP"),
        address("ExternalIP"),
        or_none(&info["osImage"]),
        or_none(&info["kernelVersion"]),
        or_none(&info["containerRuntimeVersion"]),
    ]
}

pub(super) static EVENTS: Columns = Columns {
    heads: &[
        Head::text("Last Seen", "The time since it last happened."),
        Head::text("Type", "Whether a person should look at it."),
        Head::text("Reason", "What happened, in a word."),
        Head::text("Object", "What it happened to."),
        Head::wide("Subobject", "Which part of it."),
        Head::wide("Source", "Who tells it."),
        Head::text("Message", "What happened."),
        Head::wide("First Seen", "The time since it first happened."),
        Head::wide("Count", "How often it happened."),
        Head::wide("Name", "The Event's own name."),
    ],
    cells: event,
    conditions: |_| None,
};

/// Both forms of an Event are printed alike.
fn event(event: &Value, now: Timestamp) -> Vec<Value> {
    let either = |core: &str, other: &str| {
        let value = &event[core];
        if value.is_null() { event[other].clone() } else { value.clone() }
    };
    let about = either("involvedObject", "regarding");
    let object = format!(
        "{}/{}",
        about["kind"].as_str().unwrap_or_default().to_lowercase(),
        about["name"].as_str().unwrap_or_default()
    );
    let first = either("firstTimestamp", "deprecatedFirstTimestamp");
    let first = if first.is_null() { event["eventTime"].clone() } else { first };
    let last = either("lastTimestamp", "deprecatedLastTimestamp");
    let last = if last.is_null() { first.clone() } else { last };
    let source = either("source", "deprecatedSource")["component"].clone();
    let source =
        if source.is_null() { either("reportingComponent", "reportingController") } else { source };
    let count = either("count", "deprecatedCount");
    vec![
        json!(since_time(&last, now)),
        event["type"].clone(),
        event["reason"].clone(),
        json!(object),
        about["fieldPath"].clone(),
        source,
        json!(either("message", "note").as_str().unwrap_or_default().trim()),
        json!(since_time(&first, now)),
        if count.is_null() { json!(1) } else { count },
        name(event),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-15T12:02:30Z".parse().unwrap()
    }

    #[test]
    fn nodes_say_whether_they_take_pods() {
        let mut worker = json!({
            "metadata": {"name": "w", "creationTimestamp": "2026-01-15T12:00:30Z"},
            "spec": {},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": "10.0.0.7"}],
                "nodeInfo": {"kubeletVersion": "v1"},
            },
        });
        let row = node(&worker, now());
        assert_eq!(row[..5], ["w", "Ready", "<none>", "2m", "v1"]);
        assert_eq!(row[5..7], ["10.0.0.7", "<none>"]);
        worker["spec"]["unschedulable"] = json!(true);
        worker["status"]["conditions"][0]["status"] = json!("Unknown");
        assert_eq!(node(&worker, now())[1], "NotReady,SchedulingDisabled");
    }

    #[test]
    fn events_are_printed_alike_in_both_forms() {
        let core = json!({
            "metadata": {"name": "e"}, "type": "Normal", "reason": "Completed", "count": 3,
            "involvedObject": {"kind": "Job", "name": "pi"}, "message": "Job completed",
            "source": {"component": "job-controller"},
            "firstTimestamp": "2026-01-15T12:00:30Z", "lastTimestamp": "2026-01-15T12:02:00Z",
        });
        let newer = json!({
            "metadata": {"name": "e"}, "type": "Normal", "reason": "Completed",
            "deprecatedCount": 3, "regarding": {"kind": "Job", "name": "pi"},
            "note": "Job completed", "reportingController": "job-controller",
            "deprecatedFirstTimestamp": "2026-01-15T12:00:30Z",
            "deprecatedLastTimestamp": "2026-01-15T12:02:00Z",
        });
        let row = event(&core, now());
        assert_eq!(row[..4], ["30s", "Normal", "Completed", "job/pi"]);
        assert_eq!((&row[6], &row[7], &row[8]), (&json!("Job completed"), &json!("2m"), &json!(3)));
        assert_eq!(row, event(&newer, now()));
    }
}
