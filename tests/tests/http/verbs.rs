//! Every verb, its code, and its answer.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stint_tests::api::condition;
use stint_tests::job;

use super::{jobs, name, shared};

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_a_job() {
    let (_world, http, api) = shared("http-life").await;
    let all = jobs("http-life", "");
    let suspended = job("a").spec(&json!({"suspend": true})).build();
    let created = http.json("POST", &all, &suspended).await.object(201);
    assert_eq!((name(&created), &created["kind"]), ("a", &json!("Job")));

    let again = http.json("POST", &all, &suspended).await.refused(409);
    assert_eq!(again["reason"], "AlreadyExists");
    assert_eq!(again["details"], json!({"name": "a", "group": "batch", "kind": "jobs"}));

    // Its owner writes no more until it is resumed.
    api.until_job("a", "is said to be suspended", |job| condition(job, "Suspended").is_some())
        .await;
    let one = jobs("http-life", "a");
    let got = http.get(&one).await.object(200);
    assert_eq!(got["metadata"]["uid"], created["metadata"]["uid"]);
    assert_eq!(http.get(&format!("{one}/status")).await.object(200)["kind"], "Job");

    let patch = json!({"metadata": {"labels": {"x": "y"}}}).to_string();
    let kinds = [
        ("application/merge-patch+json", patch.clone()),
        ("application/strategic-merge-patch+json", patch.clone()),
        (
            "application/json-patch+json",
            json!([{"op": "add", "path": "/metadata/labels/z", "value": "1"}]).to_string(),
        ),
    ];
    for (kind, body) in kinds {
        let headers = [("content-type", kind)];
        let patched = http.send("PATCH", &one, &headers, body).await.object(200);
        assert_eq!(patched["metadata"]["labels"]["x"], "y", "{kind}");
    }
    let headers = [("content-type", "application/cat-patch+json")];
    let _ = http.send("PATCH", &one, &headers, patch).await.refused(415);

    let mut stale = got.clone();
    stale["metadata"]["labels"] = json!({"late": "yes"});
    let conflict = http.json("PUT", &one, &stale).await.refused(409);
    assert_eq!(conflict["reason"], "Conflict");
    let mut fresh = http.get(&one).await.object(200);
    fresh["spec"]["parallelism"] = json!(3);
    let updated = http.json("PUT", &one, &fresh).await.object(200);
    assert_eq!(updated["spec"]["parallelism"], 3);
    fresh["metadata"]["resourceVersion"] = Value::Null;
    fresh["spec"]["completions"] = json!(7);
    let invalid = http.json("PUT", &one, &fresh).await.refused(422);
    assert_eq!(invalid["details"]["causes"][0]["field"], "spec.completions");

    let status = json!({"metadata": {"annotations": {"seen": "yes"}},
        "status": {"conditions": [{"type": "Odd", "status": "True"}]}});
    let headers = [("content-type", "application/merge-patch+json")];
    let path = format!("{one}/status");
    let said = http.send("PATCH", &path, &headers, status.to_string()).await.object(200);
    assert_eq!(said["metadata"]["annotations"]["seen"], "yes");

    let background = json!({"kind": "DeleteOptions", "apiVersion": "v1",
        "propagationPolicy": "Background"});
    let deleted = http.json("DELETE", &one, &background).await.object(200);
    assert_eq!((&deleted["kind"], &deleted["status"]), (&json!("Status"), &json!("Success")));
    let missing = http.get(&one).await.refused(404);
    assert_eq!(missing["message"], "jobs.batch \"a\" not found");
    let _ = http.json("DELETE", &one, &background).await.refused(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_have_preconditions_and_policies() {
    let (_world, http, api) = shared("http-delete").await;
    let manifest = job("kept").spec(&json!({"suspend": true})).build();
    let created = http.json("POST", &jobs("http-delete", ""), &manifest).await.object(201);
    let one = jobs("http-delete", "kept");
    let others = json!({"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}});
    let _ = http.json("DELETE", &one, &others).await.refused(409);
    // In the path it is no precondition.
    let dry = http.send("DELETE", &format!("{one}?dryRun=All&resourceVersion=1"), &[], "").await;
    let _ = dry.object(200);
    let sideways = http.json("DELETE", &one, &json!({"propagationPolicy": "Sideways"})).await;
    assert_eq!(sideways.refused(422)["details"]["causes"][0]["field"], "propagationPolicy");
    let both = json!({"propagationPolicy": "Orphan", "orphanDependents": true});
    assert_eq!(http.json("DELETE", &one, &both).await.refused(422)["reason"], "Invalid");
    let own = json!({"preconditions": {"uid": created["metadata"]["uid"]}});
    let _ = http.json("DELETE", &one, &own).await.object(200);

    let held = json!({"metadata": {"name": "held", "finalizers": ["example.com/hold"]}});
    let mut manifest = job("held").spec(&json!({"suspend": true})).build();
    manifest["metadata"] = held["metadata"].clone();
    let _ = http.json("POST", &jobs("http-delete", ""), &manifest).await.object(201);
    let one = jobs("http-delete", "held");
    let held = http.send("DELETE", &one, &[], "").await.object(200);
    assert!(held["metadata"]["deletionTimestamp"].is_string(), "{held}");
    api.patch("held", &json!({"metadata": {"finalizers": null}})).await;
    let _ = http.get(&one).await.refused(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_selected_and_paged() {
    let (_world, http, api) = shared("http-list").await;
    for n in 0..5 {
        let parity = if n % 2 == 0 { "even" } else { "odd" };
        let manifest = job(&format!("j{n}")).labels(&json!({"parity": parity}));
        api.create(&manifest.spec(&json!({"suspend": true})).build()).await;
    }
    let all = jobs("http-list", "");
    let list = http.get(&format!("{all}?limit=2")).await.object(200);
    assert_eq!(list["kind"], "JobList");
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2));
    let token = list["metadata"]["continue"].as_str().expect("there is more").to_owned();
    let rest = http.get(&format!("{all}?limit=500&continue={token}")).await.object(200);
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(3));
    assert!(rest["metadata"].get("continue").is_none());
    let _ = http.get(&format!("{all}?continue=tomorrow")).await.refused(400);

    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().into_iter().flatten();
        items.map(|item| name(item).to_owned()).collect()
    };
    let odd = http.get(&format!("{all}?labelSelector=parity%3Dodd")).await.object(200);
    assert_eq!(names(&odd), ["j1", "j3"]);
    let one = http.get(&format!("{all}?fieldSelector=metadata.name%3Dj4")).await.object(200);
    assert_eq!(names(&one), ["j4"]);
    let _ = http.get(&format!("{all}?labelSelector=%3D%3D")).await.refused(400);
    let _ = http.get(&format!("{all}?fieldSelector=spec.suspend%3Dtrue")).await.refused(400);
    let everywhere = http.get("/apis/batch/v1/jobs?labelSelector=parity%3Deven").await.object(200);
    assert_eq!(names(&everywhere), ["j0", "j2", "j4"]);

    let gone = http.send("DELETE", &format!("{all}?labelSelector=parity%3Dodd"), &[], "").await;
    assert_eq!(names(&gone.object(200)), ["j1", "j3"]);
    assert_eq!(names(&http.get(&all).await.object(200)), ["j0", "j2", "j4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_of_a_revision() {
    let (_world, http, api) = shared("http-revision").await;
    api.create(&job("a").spec(&json!({"suspend": true})).build()).await;
    let all = jobs("http-revision", "");
    let current = http.get(&all).await.object(200);
    let at = current["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    for query in [
        "resourceVersion=0".to_owned(),
        format!("resourceVersion={at}&resourceVersionMatch=NotOlderThan"),
        format!("resourceVersion={at}"),
    ] {
        let list = http.get(&format!("{all}?{query}")).await.object(200);
        assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{query}");
    }
    let exact = format!("{all}?resourceVersionMatch=Exact&resourceVersion=1");
    assert_eq!(http.get(&exact).await.refused(410)["reason"], "Expired");
    let future = http.get(&format!("{all}?resourceVersion=999999999999")).await.refused(504);
    assert_eq!(future["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    for query in [
        "resourceVersionMatch=Exact",
        "resourceVersionMatch=Sometimes&resourceVersion=1",
        "sendInitialEvents=true",
    ] {
        let _ = http.get(&format!("{all}?{query}")).await.refused(422);
    }
    let _ = http.get(&format!("{all}?resourceVersion=x")).await.refused(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_in_a_dry_run_and_fields_are_validated() {
    let (_world, http, _) = shared("http-options").await;
    let all = jobs("http-options", "");
    let manifest = job("dry").build();
    let _ = http.json("POST", &format!("{all}?dryRun=All"), &manifest).await.object(201);
    let _ = http.get(&jobs("http-options", "dry")).await.refused(404);
    let _ = http.json("POST", &format!("{all}?dryRun=Some"), &manifest).await.refused(400);

    let odd = job("odd").spec(&json!({"suspend": true, "paralelism": 2})).build();
    let strict = http.json("POST", &format!("{all}?fieldValidation=Strict"), &odd).await;
    let message = strict.refused(400)["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("unknown field \"spec.paralelism\""), "{message}");
    let warned = http.json("POST", &all, &odd).await;
    let warnings = warned.header("warning");
    let _ = warned.object(201);
    let wanted = "299 - \"unknown field \\\"spec.paralelism\\\"\"";
    assert!(warnings.iter().any(|warning| warning == wanted), "{warnings:?}");
    let silent = format!("{all}?fieldValidation=Ignore&dryRun=All");
    let mut other = odd;
    other["metadata"]["name"] = json!("silent");
    let reply = http.json("POST", &silent, &other).await;
    let unknown = reply.header("warning").into_iter().find(|text| text.contains("unknown"));
    assert_eq!(unknown, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_of_operators_in_a_status_are_passed_over() {
    let (_world, http, api) = shared("http-notes").await;
    api.create(&job("noted").spec(&json!({"suspend": true})).build()).await;
    let one = jobs("http-notes", "noted");
    let notes = json!({"metadata": {"annotations": {"seen": "yes"}},
        "status": {"kopf": {"progress": {}}}});
    let merge = [("content-type", "application/merge-patch+json")];
    for path in [one.clone(), format!("{one}/status")] {
        let reply = http.send("PATCH", &path, &merge, notes.to_string()).await;
        let warned = "299 - \"unknown field \\\"status.kopf\\\"\"";
        assert!(reply.header("warning").iter().any(|warning| warning == warned), "{path}");
        let patched = reply.object(200);
        assert_eq!(patched["metadata"]["annotations"]["seen"], "yes");
        assert_eq!(patched["status"].get("kopf"), None);
        let strict = format!("{path}?fieldValidation=Strict");
        let _ = http.send("PATCH", &strict, &merge, notes.to_string()).await.refused(422);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_come_in_the_form_that_is_asked_for() {
    let (_world, http, _) = shared("http-forms").await;
    let all = jobs("http-forms", "");
    let yaml = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: yam}\nspec: {suspend: true, template: \
        {spec: {restartPolicy: Never, containers: [{name: a, image: host, command: [\"true\"]}]}}}\n";
    let headers = [("content-type", "application/yaml"), ("accept", "application/yaml")];
    let created = http.send("POST", &all, &headers, yaml).await;
    assert_eq!(
        (created.code, &created.headers["content-type"]),
        (201, &"application/yaml".parse().unwrap())
    );
    assert!(created.bytes.starts_with(b"apiVersion: batch/v1\n"), "{created:?}");

    let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let rows = http.send("GET", &all, &[("accept", table)], "").await.object(200);
    assert_eq!((&rows["kind"], &rows["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
    assert_eq!(rows["rows"][0]["cells"][0], "yam");
    assert_eq!(rows["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let whole = format!("{all}?includeObject=Object");
    let rows = http.send("GET", &whole, &[("accept", table)], "").await.object(200);
    assert_eq!(rows["rows"][0]["object"]["kind"], "Job");

    let partial = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let list = http.send("GET", &all, &[("accept", partial)], "").await.object(200);
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert!(list["items"][0].get("spec").is_none());

    let pretty = http.get(&format!("{}?pretty=true", jobs("http-forms", "yam"))).await;
    assert!(pretty.bytes.starts_with(b"{\n  \"apiVersion\""), "{pretty:?}");
    let protobuf = [("accept", "application/vnd.kubernetes.protobuf")];
    let _ = http.send("GET", &all, &protobuf, "").await.refused(406);
    let protobuf = [("content-type", "application/vnd.kubernetes.protobuf")];
    let _ = http.send("POST", &all, &protobuf, b"k8s\0".as_slice()).await.refused(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_objects_too() {
    let (_world, http, api) = shared("http-pods").await;
    api.complete(&job("p").completions(2).build()).await;
    let all = "/api/v1/namespaces/http-pods/pods";
    let list = http.get(&format!("{all}?labelSelector=job-name%3Dp")).await.object(200);
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2));
    let pod = name(&list["items"][0]).to_owned();
    let one = http.get(&format!("{all}/{pod}")).await.object(200);
    assert_eq!(one["status"]["phase"], "Succeeded");
    let missing = http.get(&format!("{all}/nope")).await.refused(404);
    assert_eq!(missing["details"], json!({"name": "nope", "kind": "pods"}));
    api.create(&job("long").script("exec sleep 600").completions(2).build()).await;
    api.until_job("long", "runs", |job| job["status"]["ready"] == 2).await;
    let path = format!("{all}?labelSelector=job-name%3Dlong");
    let options = json!({"gracePeriodSeconds": 1});
    let deleted = http.json("DELETE", &path, &options).await.object(200);
    assert_eq!(deleted["kind"], "PodList");
    assert_eq!(deleted["items"].as_array().map(Vec::len), Some(2));
    assert!(deleted["items"][0]["metadata"]["deletionTimestamp"].is_string());
    http.send("DELETE", &jobs("http-pods", "long"), &[], "").await;
    let second = name(&list["items"][1]).to_owned();
    let gone = http.send("DELETE", &format!("{all}/{second}"), &[], "").await.object(200);
    assert_eq!((name(&gone), &gone["kind"]), (second.as_str(), &json!("Pod")));
    for path in [format!("{all}/{second}"), format!("{all}/{second}/log")] {
        let _ = http.get(&path).await.refused(404);
    }
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction"});
    let path = format!("{all}/{second}/eviction");
    let _ = http.json("POST", &path, &eviction).await.refused(404);
    let refused = http.json("POST", all, &json!({})).await.refused(405);
    let says = |status: &Value, what: &str| {
        status["message"].as_str().is_some_and(|message| message.contains(what))
    };
    assert!(says(&refused, "kubectl create job"), "{refused}");
    for part in ["exec", "attach", "portforward"] {
        let refused = http.json("POST", &format!("{all}/{pod}/{part}"), &json!({})).await;
        let refused = refused.refused(405);
        assert!(says(&refused, part) && refused["details"]["kind"] == "pods", "{refused}");
    }
    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let path = format!("{all}?labelSelector=job-name%3Dp");
    let rows = http.send("GET", &path, &table, "").await.object(200);
    assert_eq!(rows["rows"][0]["cells"][2], "Completed");
    assert_eq!(rows["rows"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_at_once_lose_nothing() {
    const WRITERS: usize = 8;
    const EACH: usize = 25;
    let (_world, http, _) = shared("http-race").await;
    let all = jobs("http-race", "");
    let manifest = job("counted").spec(&json!({"suspend": true})).build();
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let (http, all, manifest) = (http.clone(), all.clone(), manifest.clone());
        racing.spawn(async move { http.json("POST", &all, &manifest).await.code });
    }
    let mut codes = racing.join_all().await;
    codes.sort_unstable();
    assert_eq!(codes[0], 201);
    assert!(codes[1..].iter().all(|code| *code == 409), "{codes:?}");

    let mut writing = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let (http, one) = (http.clone(), jobs("http-race", "counted"));
        writing.spawn(async move {
            for _ in 0..EACH {
                loop {
                    let mut job = http.get(&one).await.object(200);
                    let annotations = &mut job["metadata"]["annotations"];
                    let count: usize = annotations["count"]
                        .as_str()
                        .map_or(0, |text| text.parse().expect("nobody else writes it"));
                    annotations["count"] = json!((count + 1).to_string());
                    let reply = http.json("PUT", &one, &job).await;
                    if reply.code != 409 {
                        let _ = reply.object(200);
                        break;
                    }
                }
            }
        });
    }
    writing.join_all().await;
    let job = http.get(&jobs("http-race", "counted")).await.object(200);
    assert_eq!(job["metadata"]["annotations"]["count"], (WRITERS * EACH).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_applied_by_several_managers() {
    let (_world, http, _) = shared("http-apply").await;
    let one = jobs("http-apply", "a");
    let headers = [("content-type", "application/apply-patch+yaml")];
    let wanted = |parallelism: u32| {
        let mut manifest = job("a").build();
        manifest["spec"]["suspend"] = json!(true);
        manifest["spec"]["parallelism"] = json!(parallelism);
        manifest.to_string()
    };
    let by = |manager: &str| format!("{one}?fieldManager={manager}");
    let created = http.send("PATCH", &by("first"), &headers, wanted(2)).await.object(201);
    assert_eq!(created["metadata"]["managedFields"][0]["manager"], "first");
    let again = http.send("PATCH", &by("first"), &headers, wanted(2)).await.object(200);
    assert_eq!(again["metadata"]["managedFields"], created["metadata"]["managedFields"]);

    let refused = http.send("PATCH", &by("second"), &headers, wanted(3)).await.refused(409);
    assert_eq!(
        refused["details"]["causes"][0],
        json!({
            "reason": "FieldManagerConflict",
            "message": "conflict with \"first\" using batch/v1",
            "field": ".spec.parallelism",
        })
    );
    let force = format!("{}&force=true", by("second"));
    let forced = http.send("PATCH", &force, &headers, wanted(3)).await.object(200);
    assert_eq!(forced["spec"]["parallelism"], 3);
    let nobody = [("content-type", "application/apply-patch+yaml"), ("user-agent", "cat/1")];
    let _ = http.send("PATCH", &one, &nobody, wanted(3)).await.refused(422);
    // A write that is no apply takes the field over, too.
    let merge = [("content-type", "application/merge-patch+json"), ("user-agent", "editor/1")];
    let patch = json!({"spec": {"parallelism": 4}}).to_string();
    let merged = http.send("PATCH", &one, &merge, patch).await.object(200);
    let entries = merged["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let editor = entries.iter().find(|entry| entry["manager"] == "editor");
    assert_eq!(editor.map(|it| it["operation"].clone()), Some(json!("Update")), "{entries:?}");
    let _ = http.send("PATCH", &by("second"), &headers, wanted(3)).await.refused(409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_says_the_same_however_it_is_written() {
    let (_world, http, api) = shared("http-same").await;
    let idle = |name: &str| job(name).spec(&json!({"suspend": true}));
    let per_index = json!({"backoffLimitPerIndex": 1, "completions": 3});
    let mut held = idle("held").build();
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    for manifest in
        [idle("plain").build(), idle("indexed").indexed().spec(&per_index).build(), held]
    {
        api.create(&manifest).await;
        let name = name(&manifest);
        api.until_job(name, "waits", |job| condition(job, "Suspended").is_some()).await;
    }
    api.complete(&job("done").indexed().completions(2).build()).await;
    api.create(&idle("foreign").spec(&json!({"managedBy": "example.com/other"})).build()).await;
    api.send("jobs.delete.held", &[], "").await.object();
    let all = jobs("http-same", "");
    let items = |list: Value| list["items"].as_array().cloned().unwrap_or_default();
    let pretty = items(http.get(&format!("{all}?pretty=true")).await.object(200));
    assert_eq!(pretty.len(), 5, "{pretty:?}");
    assert!(pretty.iter().any(|job| job["metadata"]["deletionTimestamp"].is_string()));
    assert_eq!(items(http.get(&all).await.object(200)), pretty);
    assert_eq!(items(http.get(&format!("{all}?limit=100")).await.object(200)), pretty);
    assert_eq!(items(api.send("jobs.list", &[], "").await.object()), pretty);
    for job in &pretty {
        assert_eq!(http.get(&jobs("http-same", name(job))).await.object(200), *job);
    }
    api.send("jobs.patch.held", &[], json!({"metadata": {"finalizers": null}}).to_string()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_of_pods_show_one_moment() {
    let (_world, http, api) = shared("http-pages").await;
    let mut waits = job("waits").indexed().completions(5).build();
    waits["spec"]["parallelism"] = json!(5);
    waits["spec"]["template"]["spec"]["nodeSelector"] = json!({"zone": "nowhere"});
    api.create(&waits).await;
    api.until_job("waits", "its pods are there", |job| job["status"]["active"] == 5).await;
    let all = "/api/v1/namespaces/http-pages/pods";
    let page = async |token: &Value| {
        let more = token.as_str().map(|token| format!("&continue={token}"));
        let path = format!("{all}?limit=2{}", more.unwrap_or_default());
        http.get(&path).await.object(200)
    };
    let pages = async |first: Value| {
        let mut pages = vec![first];
        while let Some(last) = pages.last()
            && last["metadata"]["continue"].is_string()
        {
            pages.push(page(&last["metadata"]["continue"]).await);
        }
        pages
    };
    // The same list three times: whole before a change, begun before it, and whole after it.
    let before = pages(page(&Value::Null).await).await;
    let begun = page(&Value::Null).await;
    let last = &before[2]["items"][0]["metadata"]["name"];
    let path = format!("{all}/{}", last.as_str().unwrap());
    let merge = [("content-type", "application/merge-patch+json")];
    let word = json!({"metadata": {"labels": {"said": "later"}}}).to_string();
    let _ = http.send("PATCH", &path, &merge, word).await.object(200);
    let after = pages(page(&Value::Null).await).await;
    let during = pages(begun).await;
    let said = |pages: &[Value]| pages[2]["items"][0]["metadata"]["labels"]["said"].clone();
    assert_eq!(
        [said(&before), said(&during), said(&after)],
        [json!(null), json!(null), json!("later")]
    );
    for pages in [&before, &during, &after] {
        let mut names = BTreeSet::new();
        for (list, count) in pages.iter().zip([2, 2, 1]) {
            let revision = &list["metadata"]["resourceVersion"];
            assert_eq!(*revision, pages[0]["metadata"]["resourceVersion"]);
            let items = list["items"].as_array().unwrap();
            assert_eq!(items.len(), count, "{list}");
            names.extend(items.iter().map(|pod| pod["metadata"]["name"].to_string()));
        }
        assert_eq!((pages.len(), names.len()), (3, 5), "{names:?}");
    }
    // A token of another moment, or of another list, begins anew behind its pod.
    let token = begun_anew(&before[0]["metadata"]["continue"]);
    let rest = http.get(&format!("{all}?continue={token}")).await.object(200);
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(3));
    let _ = http.get(&format!("{all}?continue={token}@x")).await.refused(400);
}

/// A token without its moment.
fn begun_anew(token: &Value) -> String {
    let token = token.as_str().expect("there is more");
    token.split('@').next().expect("a pod stands there").to_owned()
}
