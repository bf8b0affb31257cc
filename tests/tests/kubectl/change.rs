//! Applying, patching, labelling, editing.

use super::{kubectl, manifest};

#[tokio::test(flavor = "multi_thread")]
async fn applying_twice_changes_nothing() {
    let Some(kubectl) = kubectl("kubectl-apply").await else { return };
    let spec = "  suspend: true\n  completions: 2\n";
    let text = manifest("app", spec, "true");
    let file = kubectl.file("app.yaml", &text);
    let apply = format!("apply -f {file}");
    assert_eq!(kubectl.run(&apply).await.ok(), "job.batch/app created\n");
    assert_eq!(kubectl.run(&apply).await.ok(), "job.batch/app unchanged\n");
    kubectl.file("app.yaml", &text.replace("suspend: true", "suspend: true\n  backoffLimit: 3"));
    assert_eq!(kubectl.run(&apply).await.ok(), "job.batch/app configured\n");
    assert_eq!(kubectl.run(&apply).await.ok(), "job.batch/app unchanged\n");
    assert_eq!(kubectl.json("job/app").await["spec"]["backoffLimit"], 3);
    // What is taken out of the file is taken out of the object.
    kubectl.file("app.yaml", &text.replace("    app: app\n", "    other: label\n"));
    kubectl.run(&apply).await.ok();
    let labels = kubectl.json("job/app").await["metadata"]["labels"].clone();
    assert_eq!((&labels["other"], labels.get("app")), (&"label".into(), None));
    let diff = kubectl.run(&format!("diff -f {file}")).await;
    assert_eq!(diff.code, Some(0), "{diff:?}");
    kubectl.file("app.yaml", &text.replace("completions: 2", "completions: 5"));
    let refused = kubectl.run(&apply).await.fails();
    assert!(
        refused.contains("spec.completions: Invalid value: 5: field is immutable"),
        "{refused}"
    );
    let said = kubectl.run(&format!("replace --force -f {file}")).await.ok();
    assert!(said.ends_with("job.batch/app replaced\n"), "{said}");
    assert_eq!(kubectl.json("job/app").await["spec"]["completions"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_labels_and_annotations() {
    let Some(kubectl) = kubectl("kubectl-patch").await else { return };
    let file = kubectl.file("p.yaml", &manifest("p", "  suspend: true\n", "true"));
    kubectl.run(&format!("create -f {file}")).await.ok();
    let patches = [
        ("strategic", r#"{"spec":{"parallelism":2}}"#),
        ("merge", r#"{"spec":{"parallelism":3}}"#),
        ("json", r#"[{"op":"replace","path":"/spec/parallelism","value":4}]"#),
    ];
    for (kind, patch) in patches {
        let said = kubectl.run(&format!("patch job p --type={kind} -p {patch}")).await.ok();
        assert_eq!(said, "job.batch/p patched\n", "{kind}");
    }
    assert_eq!(kubectl.json("job/p").await["spec"]["parallelism"], 4);
    let same = format!("patch job p --type=merge -p {}", r#"{"spec":{"parallelism":4}}"#);
    assert_eq!(kubectl.run(&same).await.ok(), "job.batch/p patched (no change)\n");
    assert_eq!(kubectl.run("label job p tier=web").await.ok(), "job.batch/p labeled\n");
    let taken = kubectl.run("label job p tier=db").await.fails();
    assert!(taken.contains("--overwrite"), "{taken}");
    kubectl.run("label job p tier=db --overwrite").await.ok();
    assert_eq!(kubectl.run("get jobs -l tier=db -o name").await.ok(), "job.batch/p\n");
    kubectl.run("label job p tier-").await.ok();
    assert_eq!(kubectl.run("get jobs -l tier -o name").await.ok(), "");
    kubectl.run("annotate job p note=kept").await.ok();
    assert_eq!(kubectl.json("job/p").await["metadata"]["annotations"]["note"], "kept");
    let status = r#"{"status":{"conditions":[{"type":"Odd","status":"True"}]}}"#;
    let words = format!("patch job p --subresource=status --type=merge -p {status}");
    kubectl.run(&words).await.ok();
    kubectl.run("wait --for=condition=Odd job/p --timeout=60s").await.ok();
    let resume = format!("patch job p -p {}", r#"{"spec":{"suspend":false}}"#);
    kubectl.run(&resume).await.ok();
    kubectl.run("wait --for=condition=complete job/p --timeout=60s").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_changes_a_job() {
    let Some(kubectl) = kubectl("kubectl-edit").await else { return };
    let file = kubectl.file("e.yaml", &manifest("e", "  suspend: true\n", "true"));
    kubectl.run(&format!("create -f {file}")).await.ok();
    let editor = kubectl.file("editor.sh", "sed -i 's/backoffLimit: 6/backoffLimit: 9/' \"$1\"\n");
    let mut command = kubectl.command("edit job e");
    command.env("KUBE_EDITOR", format!("sh {editor}"));
    assert_eq!(kubectl.say(command, "edit").await.ok(), "job.batch/e edited\n");
    assert_eq!(kubectl.json("job/e").await["spec"]["backoffLimit"], 9);
    let mut command = kubectl.command("edit job e");
    command.env("KUBE_EDITOR", "true");
    let said = kubectl.say(command, "edit").await;
    assert!(
        said.err.contains("no changes made") || said.out.contains("no changes made"),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_applies() {
    let Some(kubectl) = kubectl("kubectl-ssa").await else { return };
    let text = manifest("ssa", "  suspend: true\n  parallelism: 2\n", "true");
    let file = kubectl.file("ssa.yaml", &text);
    let apply = format!("apply --server-side -f {file}");
    assert_eq!(kubectl.run(&apply).await.ok(), "job.batch/ssa serverside-applied\n");
    let first = kubectl.json("job/ssa --show-managed-fields").await;
    assert_eq!(first["metadata"]["managedFields"][0]["manager"], "kubectl");
    assert_eq!(kubectl.run(&apply).await.ok(), "job.batch/ssa serverside-applied\n");
    let again = kubectl.json("job/ssa --show-managed-fields").await;
    assert_eq!(again["metadata"]["managedFields"], first["metadata"]["managedFields"]);
    kubectl.file("ssa.yaml", &text.replace("parallelism: 2", "parallelism: 3"));
    let other = format!("{apply} --field-manager=other");
    let refused = kubectl.run(&other).await.fails();
    assert!(refused.contains("conflict with \"kubectl\""), "{refused}");
    kubectl.run(&format!("{other} --force-conflicts")).await.ok();
    assert_eq!(kubectl.json("job/ssa").await["spec"]["parallelism"], 3);
    // Somebody else's object.
    let text = manifest("made", "  suspend: true\n  parallelism: 2\n", "true");
    let file = kubectl.file("made.yaml", &text);
    kubectl.run(&format!("create -f {file}")).await.ok();
    kubectl.run(&format!("apply --server-side -f {file}")).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_labelled_and_applied() {
    let Some(kubectl) = kubectl("kubectl-pods").await else { return };
    let file = kubectl.file("l.yaml", &manifest("l", "", "exec sleep 600"));
    kubectl.run(&format!("create -f {file}")).await.ok();
    kubectl.run("wait --for=jsonpath={.status.ready}=1 job/l --timeout=60s").await.ok();
    let pod = kubectl.run("get pods -o name").await.ok().trim().to_owned();
    assert_eq!(
        kubectl.run(&format!("label {pod} tier=web")).await.ok(),
        format!("{pod} labeled\n")
    );
    assert_eq!(kubectl.run("get pods -l tier=web -o name").await.ok(), format!("{pod}\n"));
    kubectl.run(&format!("annotate {pod} note=kept")).await.ok();
    assert_eq!(kubectl.json(&pod).await["metadata"]["annotations"]["note"], "kept");
    let patch = r#"{"spec":{"activeDeadlineSeconds":5}}"#;
    let refused = kubectl.run(&format!("patch {pod} -p {patch}")).await.fails();
    assert!(refused.contains("spec: Forbidden"), "{refused}");
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  a: '1'\n";
    let file = kubectl.file("c.yaml", text);
    let apply = format!("apply --server-side -f {file}");
    for _ in 0..2 {
        let said = kubectl.run(&apply).await.ok();
        assert_eq!(said, "configmap/settings serverside-applied\n");
    }
    kubectl.file("c.yaml", &text.replace("a: '1'", "b: '2'"));
    kubectl.run(&apply).await.ok();
    let data = kubectl.json("configmap/settings").await["data"].clone();
    assert_eq!(data, serde_json::json!({"b": "2"}));
    kubectl.run("delete job l").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_have_ended_are_deleted() {
    let Some(kubectl) = kubectl("kubectl-ended").await else { return };
    let file = kubectl.file("e.yaml", &manifest("e", "  completions: 2\n", "echo out"));
    kubectl.run(&format!("create -f {file}")).await.ok();
    kubectl.run("wait --for=condition=complete job/e --timeout=60s").await.ok();
    let names = kubectl.run("get pods -o name").await.ok();
    let [first, second] = names.lines().collect::<Vec<_>>()[..] else { panic!("{names}") };
    let waiting = kubectl.start(&format!("wait --for=delete {second} --timeout=60s"));
    // It waits until the pod is gone: deleting ends with that.
    let said = kubectl.run(&format!("delete {first} --timeout=60s")).await.ok();
    assert!(said.contains("deleted"), "{said}");
    let missing = kubectl.run(&format!("get {first}")).await.fails();
    assert!(missing.contains("NotFound"), "{missing}");
    let missing = kubectl.run(&format!("logs {first}")).await.fails();
    assert!(missing.contains("NotFound") || missing.contains("not found"), "{missing}");
    assert_eq!(kubectl.run("get pods -o name").await.ok(), format!("{second}\n"));
    kubectl.run("delete pods --all --timeout=60s").await.ok();
    let waited = waiting.wait_with_output().await.expect("it ends");
    assert!(waited.status.success(), "{waited:?}");
    assert_eq!(kubectl.json("job/e").await["status"]["succeeded"], 2);
}
