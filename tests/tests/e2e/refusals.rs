//! Requests that are refused: each with its code, a whole `Status` and the service's headers, and
//! with nothing left behind.

use serde_json::{Value, json};
use stint_tests::{Api, Shape, World, job};

use super::{STINT, shared};

/// Every message of every stream of ours, but leases, which are renewed all the time.
async fn stored(world: &World) -> Vec<(String, u64)> {
    let jet = async_nats::jetstream::new(world.client().clone());
    let mut counts = Vec::new();
    for stream in ["OBJECTS", "WORK", "PODS", "LOGS", "EVENTS"] {
        let stream = jet.get_stream(format!("STINT_{stream}")).await.unwrap();
        let mut subjects = stream.info_with_subjects(">").await.unwrap();
        while let Some(subject) = futures_util::StreamExt::next(&mut subjects).await {
            let (subject, count) = subject.unwrap();
            if !subject.contains(".leases.") {
                counts.push((subject, u64::try_from(count).unwrap()));
            }
        }
    }
    counts.sort();
    counts
}

async fn refuse_all(api: &Api) {
    let manifest = job("there").build();
    let send = |what: &'static str, body: String| async move { api.send(what, &[], body).await };
    send("jobs.create", "{".to_owned()).await.refused(400);
    send("jobs.create", String::new()).await.refused(400);
    send("jobs.create", "[1, 2]".to_owned()).await.refused(400);
    send("jobs.create", "just words".to_owned()).await.refused(400);
    let large = job("large").env("FILL", &"x".repeat(600 << 10)).build();
    send("jobs.create", large.to_string()).await.refused(413);
    let status = send("jobs.create", manifest.to_string()).await.refused(409);
    assert_eq!(status["reason"], "AlreadyExists", "{status}");
    assert_eq!(status["details"]["name"], "there", "{status}");
    let invalid = job("Not_A_Name").spec(&json!({"parallelism": -1})).build();
    let status = send("jobs.create", invalid.to_string()).await.refused(422);
    let fields: Vec<&Value> =
        status["details"]["causes"].as_array().unwrap().iter().map(|c| &c["field"]).collect();
    assert!(fields.contains(&&json!("metadata.name")), "{status}");
    assert!(fields.contains(&&json!("spec.parallelism")), "{status}");
    let no_command = job("no-command").container(&json!({"command": null})).build();
    let status = send("jobs.create", no_command.to_string()).await.refused(422);
    assert!(status["message"].as_str().unwrap().contains("containers[0].command"), "{status}");
    send("jobs.get.missing", String::new()).await.refused(404);
    // A pattern is not a name: nobody else's Job is shown, nor deleted.
    send("jobs.get.*", String::new()).await.refused(404);
    send("jobs.delete.*", String::new()).await.refused(404);
    send("jobs.delete.missing", String::new()).await.refused(404);
    send("jobs.patch.missing", "{}".to_owned()).await.refused(404);
    send("jobs.update.missing", job("missing").build().to_string()).await.refused(404);
    send("pods.get.missing", String::new()).await.refused(404);
    send("pods/log.get.missing", String::new()).await.refused(404);
    send("jobs.get", String::new()).await.refused(400);
    send("jobs.shake", String::new()).await.refused(405);
    send("pods.create", String::new()).await.refused(405);
    send("nonsense.get.a", String::new()).await.refused(404);
    send("jobs.patch.there", r#"{"spec":{"completions":7}}"#.to_owned()).await.refused(422);
}

#[tokio::test]
async fn refused_requests_leave_nothing_behind() {
    let world = World::start(STINT, Shape { workers: 0, ..Shape::default() }).await;
    let api = world.api("default");
    let there = job("there").spec(&json!({"suspend": true})).build();
    api.create(&there).await;
    api.until_job("there", "Suspended", |job| job["status"]["conditions"].is_array()).await;
    // Its event is published after its status.
    stint_tests::until("its event", std::time::Duration::from_secs(10), || async {
        stored(&world).await.iter().any(|(subject, _)| subject.contains(".event.")).then_some(())
    })
    .await;
    let before = stored(&world).await;
    refuse_all(&api).await;
    world.api("Not_A_Namespace").send("jobs.create", &[], there.to_string()).await.refused(400);
    let dry = job("dry").build().to_string();
    let dry = api.send("jobs.create", &[("dryRun", "All")], dry).await.object();
    assert!(dry["metadata"].get("resourceVersion").is_none(), "it has no revision: {dry}");
    assert_eq!(stored(&world).await, before);
}

#[tokio::test]
async fn an_unknown_field_is_refused_or_warned_of_as_asked() {
    let (_world, api) = shared("unknown-field").await;
    let manifest = |name: &str| {
        let suspended = json!({"suspend": true, "completionz": 3});
        job(name).spec(&suspended).build().to_string()
    };
    let strict = [("fieldValidation", "Strict")];
    let status = api.send("jobs.create", &strict, manifest("strict")).await.refused(400);
    assert!(status["message"].as_str().unwrap().contains("spec.completionz"), "{status}");
    let warned = api.send("jobs.create", &[("fieldValidation", "Warn")], manifest("warn")).await;
    let warning = warned.headers.get("Warning").expect("a warning comes with it").as_str();
    assert!(warning.contains("spec.completionz"), "{warning}");
    let created = warned.object();
    assert!(created["spec"].get("completionz").is_none(), "{created}");
}

#[tokio::test]
async fn a_bad_option_is_named() {
    let (_world, api) = shared("options").await;
    for (option, value) in [
        ("limit", "many"),
        ("labelSelector", "a in ("),
        ("dryRun", "Some"),
        ("fieldValidation", "Lax"),
        ("resourceVersion", "-1"),
        ("continue", "???"),
    ] {
        let status = api.send("jobs.list", &[(option, value)], "").await.refused(400);
        assert!(status["message"].as_str().unwrap().contains(option), "{option}: {status}");
    }
}

#[tokio::test]
async fn the_service_answers_to_micro_tools() {
    let (world, api) = shared("micro").await;
    let ask = |subject: &'static str| {
        let api = api.clone();
        async move {
            let answer = api.raw(subject.to_owned(), &[], bytes::Bytes::new()).await.unwrap();
            serde_json::from_slice::<Value>(&answer.payload).unwrap()
        }
    };
    let ping = ask("$SRV.PING.stint").await;
    assert_eq!(
        (&ping["name"], &ping["type"]),
        (&json!("stint"), &json!("io.nats.micro.v1.ping_response"))
    );
    let info = ask("$SRV.INFO.stint").await;
    assert_eq!(info["endpoints"][0]["subject"], "stint.v1.>", "{info}");
    let stats = ask("$SRV.STATS.stint").await;
    assert_eq!(stats["endpoints"][0]["name"], "api", "{stats}");
    drop(world);
}
