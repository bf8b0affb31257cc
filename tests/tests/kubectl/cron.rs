//! CronJobs: making, looking at, changing and deleting them, and Jobs from them by hand.

use super::kubectl;

#[tokio::test(flavor = "multi_thread")]
async fn a_cron_job_and_jobs_from_it() {
    let Some(kubectl) = kubectl("kubectl-cron").await else { return };
    let create = "create cronjob rest --image=host --schedule=@yearly -- echo hi";
    assert_eq!(kubectl.run(create).await.ok(), "cronjob.batch/rest created\n");
    let rows = kubectl.run("get cj").await.rows();
    assert_eq!(rows[0].join(" "), "NAME SCHEDULE TIMEZONE SUSPEND ACTIVE LAST SCHEDULE AGE");
    assert_eq!(rows[1][..6], ["rest", "@yearly", "<none>", "False", "0", "<none>"]);
    let from = "create job now --from=cronjob/rest";
    assert_eq!(kubectl.run(from).await.ok(), "job.batch/now created\n");
    kubectl.run("wait --for=condition=complete job/now --timeout=60s").await.ok();
    assert_eq!(kubectl.run("logs job/now").await.ok(), "hi\n");
    let owner = kubectl.json("job now").await["metadata"]["ownerReferences"][0].clone();
    assert_eq!((&owner["kind"], &owner["name"]), (&"CronJob".into(), &"rest".into()));
    let patch = r#"patch cronjob rest -p {"spec":{"suspend":true,"timeZone":"Asia/Tokyo"}}"#;
    assert_eq!(kubectl.run(patch).await.ok(), "cronjob.batch/rest patched\n");
    let told = kubectl.run("describe cronjob rest").await.ok();
    let says = |what: &[&str]| {
        let mut lines = told.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.any(|line| line.starts_with(what))
    };
    assert!(says(&["Suspend:", "True"]) && says(&["Concurrency", "Policy:", "Allow"]), "{told}");
    let explained = kubectl.run("explain cronjob.spec.concurrencyPolicy").await.ok();
    assert!(explained.contains("concurrencyPolicy"), "{explained}");
    let refused = kubectl.run("patch cronjob rest -p {\"spec\":{\"schedule\":\"61****\"}}").await;
    assert!(refused.fails().contains("spec.schedule: Invalid value"));
    // What belongs to it goes with it, unless it is left behind.
    kubectl.run("delete cronjob rest").await.ok();
    kubectl.run("wait --for=delete job/now --timeout=60s").await.ok();
    kubectl.run(create).await.ok();
    kubectl.run(from).await.ok();
    kubectl.run("delete cronjob rest --cascade=orphan").await.ok();
    kubectl.run("wait --for=delete cronjob/rest --timeout=60s").await.ok();
    let left = kubectl.json("job now").await;
    assert!(left["metadata"].get("ownerReferences").is_none(), "{left}");
    kubectl.run("delete job now").await.ok();
    kubectl.run(create).await.ok();
    kubectl.run(from).await.ok();
    kubectl.run("delete cronjob rest --cascade=foreground").await.ok();
    kubectl.run("get job now").await.fails();
}
