//! The service as `nats micro` tools see it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::shared;

#[tokio::test]
async fn the_service_says_what_it_takes_and_gives() {
    let (_world, api) = shared("service").await;
    let answer = api.raw("$SRV.INFO.stint".to_owned(), &[], "".into()).await.unwrap();
    let info: Value = serde_json::from_slice(&answer.payload).unwrap();
    let endpoint = &info["endpoints"][0];
    assert_eq!(endpoint["subject"], "stint.v1.>", "{info}");
    let metadata = endpoint["metadata"].as_object().expect("there is metadata");
    let of = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or_default();
    assert_eq!(of("jobs.get.subject"), "stint.v1.<namespace>.jobs.get.<name>");
    assert!(of("jobs.create.request").ends_with("#/components/schemas/io.k8s.api.batch.v1.Job"));
    assert!(of("pods.list.response").ends_with("io.k8s.api.core.v1.PodList"));

    // What it says it answers, it does: anything but "no such resource" and "no such verb".
    let subjects = metadata.keys().filter_map(|key| key.strip_suffix(".subject"));
    let verbs: BTreeSet<&str> = subjects.collect();
    assert_eq!(verbs.len(), 16, "{verbs:?}");
    for verb in verbs.into_iter().filter(|verb| !verb.ends_with(".watch")) {
        let one = of(&format!("{verb}.subject")).ends_with(".<name>");
        let what = if one { format!("{verb}.nothing") } else { verb.to_owned() };
        let reply = api.send(&what, &[], "").await;
        assert!(![Some(405), Some(500)].contains(&reply.code), "{verb}: {}", reply.body);
        assert_ne!(reply.body["message"], "the server could not find the requested resource");
    }
}
