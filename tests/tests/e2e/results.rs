//! Termination messages: what a pod leaves is in its status, and `stint results` lists it.

use serde_json::{Value, json};
use stint_tests::api::name;
use stint_tests::job;

use super::cli::check;
use super::shared;

fn message(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"]
}

#[tokio::test]
async fn what_pods_leave_is_listed_by_index() {
    let (world, api) = shared("results").await;
    let script = "[ $JOB_COMPLETION_INDEX = 1 ] || \
                  printf 'share %s' $JOB_COMPLETION_INDEX > $STINT_TERMINATION_LOG";
    api.complete(&job("shares").indexed().completions(3).script(script).build()).await;
    let pods = api.pods("shares").await;
    let mut left: Vec<&str> = pods.iter().filter_map(|pod| message(pod).as_str()).collect();
    left.sort_unstable();
    assert_eq!(left, ["share 0", "share 2"]);
    let listed = check(&world, "results", &["results", "shares", "-o", "json"], 0).await;
    let results: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let results: Vec<_> = results.as_array().unwrap().iter().collect();
    let told: Vec<_> = results.iter().map(|it| (&it["index"], &it["result"])).collect();
    assert_eq!(told, [(&json!(0), &json!("share 0")), (&json!(2), &json!("share 2"))]);
    assert!(String::from_utf8_lossy(&listed.stderr).contains("1 succeeded pod of"), "{listed:?}");
    let table = check(&world, "results", &["results", "job/shares"], 0).await;
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.lines().nth(2).unwrap().ends_with("share 2"), "{table}");
    check(&world, "results", &["results", "missing"], 3).await;
}

#[tokio::test]
async fn a_failed_containers_last_words_stand_in_where_that_is_wanted() {
    let (_world, api) = shared("last-words").await;
    for (name, policy, script, expected) in [
        ("said", "FallbackToLogsOnError", "echo out; echo why >&2; exit 1", json!("out\nwhy\n")),
        (
            "left",
            "FallbackToLogsOnError",
            "echo no; echo f >$STINT_TERMINATION_LOG; exit 1",
            json!("f\n"),
        ),
        ("file", "File", "echo why >&2; exit 1", Value::Null),
    ] {
        let manifest = job(name)
            .spec(&json!({"backoffLimit": 0}))
            .script(script)
            .container(&json!({"terminationMessagePolicy": policy}));
        api.failed(&manifest.build()).await;
        assert_eq!(message(&api.pods(name).await[0]), &expected, "{name}");
    }
}

/// As Kubernetes' own examples do it; devices are there as ever, and the machine gets no such file.
#[tokio::test]
async fn the_usual_file_for_messages_is_there_for_who_speaks_of_it() {
    let (_world, api) = shared("usual-file").await;
    let script = "echo lost > /dev/null; echo shared > /dev/shm/usual; cat /dev/shm/usual; \
                  rm /dev/shm/usual; ls /dev/null /dev/zero; echo gone > /dev/termination-log";
    api.complete(&job("usual").script(script).build()).await;
    let pods = api.pods("usual").await;
    assert_eq!(message(&pods[0]), "gone\n");
    let log = api.log(name(&pods[0]), &[]).await;
    assert_eq!(String::from_utf8_lossy(&log), "shared\n/dev/null\n/dev/zero\n");
    assert!(!std::path::Path::new("/dev/termination-log").exists());
}
