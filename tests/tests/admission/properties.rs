//! What holds for any Job, and for anything that is none.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use stint_coordinator::admission::{
    Body, FieldValidation, UpdateContext, create, decode, defaults, semantic, update, update_status,
};
use stint_coordinator::registry::patch::schema::JOB;
use stint_coordinator::registry::patch::{ACCEPTED, Patch};

use super::{admit, context, plain_job};

/// Any JSON, not too large.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-zA-Z0-9./-]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((member(), inner), 0..4)
                .prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

/// Names that mean something, among others.
fn member() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "metadata",
            "spec",
            "template",
            "containers",
            "name",
            "labels",
            "env",
            "valueFrom",
            "fieldRef",
            "restartPolicy",
            "parallelism",
            "selector",
            "matchLabels",
            "status",
            "command",
            "volumes",
            "rules",
            "podFailurePolicy",
            "successPolicy",
            "ports",
            "apiVersion",
            "kind",
            "conditions",
        ])
        .prop_map(ToOwned::to_owned),
        "[a-z]{1,5}",
    ]
}

/// Directives of strategic merge patches, and members that they speak of.
fn directive() -> impl Strategy<Value = String> {
    let names = ["containers", "volumes", "imagePullSecrets", "tolerations", "hostAliases"];
    let prefixes = ["", "$setElementOrder/", "$deleteFromPrimitiveList/"];
    let whole = ["$patch", "$retainKeys", "$setElementOrder", "$deleteFromPrimitiveList"];
    prop_oneof![
        prop::sample::select(whole.to_vec()).prop_map(ToOwned::to_owned),
        (prop::sample::select(prefixes.to_vec()), prop::sample::select(names.to_vec()))
            .prop_map(|(prefix, name)| format!("{prefix}{name}")),
    ]
}

/// JSON pointers, many of them into a Job.
fn pointer() -> impl Strategy<Value = String> {
    let tokens = ["spec", "metadata", "template", "containers", "0", "-", "-1", "env", "a~1b", ""];
    prop::collection::vec(prop::sample::select(tokens.to_vec()), 0..6)
        .prop_map(|tokens| tokens.iter().map(|token| format!("/{token}")).collect())
}

/// Limits per index, and the two policies, where they may be.
fn policies(
    spec: &mut Value,
    (per_index, failure, success): (bool, bool, bool),
    indexed: bool,
    never: bool,
) {
    let per_index = per_index && indexed;
    if per_index {
        spec["backoffLimitPerIndex"] = json!(1);
        spec["maxFailedIndexes"] = json!(1);
    }
    if failure && never {
        let action = if per_index { "FailIndex" } else { "Count" };
        spec["podFailurePolicy"] = json!({"rules": [
            {"action": action,
             "onExitCodes": {"containerName": "c0", "operator": "In", "values": [1, 42]}},
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
        ]});
    }
    if success && indexed {
        spec["successPolicy"] = json!({"rules": [{"succeededIndexes": "0", "succeededCount": 1}]});
    }
}

/// A Job that is let in, with most of what one can say.
fn any_good_job() -> impl Strategy<Value = Value> {
    let numbers = (
        prop::option::of(0..1000_i32),
        prop::option::of(1..1000_i32),
        prop::option::of(0..10_i32),
        prop::option::of(0..100_i64),
    );
    let texts = prop::collection::btree_map("[a-z]{1,8}", "[a-zA-Z0-9]{0,8}", 0..3);
    let finalizers = prop::collection::btree_set("[a-z]{1,5}/[a-z]{1,5}", 0..3);
    let manual = any::<bool>();
    let flags = any::<(bool, bool, bool)>();
    let rules = any::<(bool, bool, bool)>();
    (numbers, flags, rules, (texts, finalizers, manual), 1..3_usize).prop_map(
        |(numbers, (indexed, suspend, twice), rules, (labels, finalizers, manual), count)| {
            let (parallelism, completions, limit, seconds) = numbers;
            let mut job = plain_job();
            job["metadata"]["finalizers"] = json!(finalizers);
            let spec = &mut job["spec"];
            if manual {
                spec["manualSelector"] = json!(true);
                spec["selector"] = json!({"matchLabels": labels});
            }
            for (name, value) in [
                ("parallelism", json!(parallelism)),
                ("completions", json!(completions.or(indexed.then_some(1)))),
                ("backoffLimit", json!(limit)),
                ("activeDeadlineSeconds", json!(seconds)),
                ("ttlSecondsAfterFinished", json!(limit)),
                ("podReplacementPolicy", json!(twice.then_some("Failed"))),
                ("suspend", json!(suspend)),
            ] {
                spec[name] = value;
            }
            if indexed {
                spec["completionMode"] = json!("Indexed");
            }
            policies(spec, rules, indexed, !twice);
            spec["template"]["metadata"] = json!({"labels": labels});
            let policy = if twice { "OnFailure" } else { "Never" };
            spec["template"]["spec"]["restartPolicy"] = json!(policy);
            let container = |number| {
                let env = json!([{"name": "A", "value": "b"}]);
                json!({"name": format!("c{number}"), "image": "i", "command": ["x"], "env": env})
            };
            spec["template"]["spec"]["containers"] = (0..count).map(container).collect();
            job
        },
    )
}

proptest! {
    #[test]
    fn defaulting_twice_is_defaulting_once(job in any_good_job()) {
        let mut once = job;
        defaults::apply(&mut once);
        let mut twice = once.clone();
        defaults::apply(&mut twice);
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn what_was_let_in_is_let_in_again_unchanged(job in any_good_job()) {
        let mut stored = admit(job).unwrap().job;
        stored["metadata"]["resourceVersion"] = json!("1");
        // As a client would: read, and write back what was read.
        let text = serde_json::to_vec(&stored).unwrap();
        let body = decode(&text, None).unwrap();
        let again = update(&stored, body, UpdateContext::default()).unwrap();
        prop_assert_eq!(&again.job, &stored);
        let mut copy = stored;
        for name in ["uid", "resourceVersion", "creationTimestamp"] {
            copy["metadata"].as_object_mut().unwrap().shift_remove(name);
        }
        if copy["spec"]["manualSelector"] != true {
            copy["spec"].as_object_mut().unwrap().shift_remove("selector");
        }
        let same_uid = context(FieldValidation::Strict);
        let created = create(Body::from(copy), &same_uid).unwrap();
        prop_assert!(semantic::equal(&created.job["spec"], &again.job["spec"]));
    }

    #[test]
    fn nothing_panics(
        junk in any_json(),
        member in member(),
        strict: bool,
    ) {
        let known = [FieldValidation::Ignore, FieldValidation::Strict];
        let field_validation = known[usize::from(strict)];
        let context = context(field_validation);
        let mut mutant = plain_job();
        mutant["spec"][member.as_str()] = junk.clone();
        let mut deep = plain_job();
        deep["spec"]["template"]["spec"][member.as_str()] = junk.clone();
        let stored = admit(plain_job()).unwrap().job;
        for job in [junk, mutant, deep] {
            let mut defaulted = job.clone();
            defaults::apply(&mut defaulted);
            drop(create(Body::from(job.clone()), &context));
            drop(update(&stored, Body::from(job), UpdateContext { field_validation }));
        }
    }

    #[test]
    fn no_patch_panics_and_an_empty_one_changes_nothing(
        junk in any_json(),
        member in directive(),
        paths in prop::collection::vec((pointer(), any_json()), 0..6),
    ) {
        let stored = admit(plain_job()).unwrap().job;
        let operations: Vec<Value> = paths
            .into_iter()
            .map(|(path, value)| json!({"op": "add", "path": path, "value": value}))
            .collect();
        let pod = json!({"template": {"spec": {member.as_str(): junk, "containers": junk}}});
        let bodies = [json!(operations), json!({"spec": pod, "metadata": pod["template"]["spec"]})];
        for (body, kind) in bodies.iter().flat_map(|body| ACCEPTED.map(|kind| (body, kind))) {
            let Ok(patch) = Patch::read(body.to_string().as_bytes(), Some(kind)) else { continue };
            if let Ok(body) = patch.apply(&stored, &JOB) {
                drop(update(&stored, body.clone(), UpdateContext::default()));
                drop(update_status(&stored, body, UpdateContext::default()));
            }
        }
        for (empty, kind) in [("[]", ACCEPTED[0]), ("{}", ACCEPTED[1]), ("{}", ACCEPTED[2])] {
            let patch = Patch::read(empty.as_bytes(), Some(kind)).unwrap();
            prop_assert_eq!(&patch.apply(&stored, &JOB).unwrap().value, &stored);
        }
    }

    /// A patch that names the whole object, by members, leads there from anywhere.
    #[test]
    fn a_merge_patch_of_everything_leads_to_it(one in any_good_job(), other in any_good_job()) {
        let (one, other) = (admit(one).unwrap().job, admit(other).unwrap().job);
        let patch = Patch::read(other.to_string().as_bytes(), None).unwrap();
        let merged = patch.apply(&one, &JOB).unwrap().value;
        prop_assert_eq!(&patch.apply(&merged, &JOB).unwrap().value, &merged);
        let containers = "/spec/template/spec/containers";
        prop_assert_eq!(merged.pointer(containers), other.pointer(containers));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}") {
        drop(decode(&bytes, None));
        drop(decode(text.as_bytes(), Some("application/yaml")));
        drop(decode(text.as_bytes(), Some("application/json")));
    }
}
