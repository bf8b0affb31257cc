//! Clients of the API: each looks after one Job, does things to it, and asks again when it does not
//! know what became of a request.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stint_common::annotations;
use stint_coordinator::registry::objects::Kind;
use stint_coordinator::registry::objects::kind::{CONFIG_MAP, SECRET};
use stint_coordinator::registry::{Error, Options, Propagation, Registry};
use tokio::sync::oneshot;

use super::machine;
use super::rng::Rng;
use super::truth;
use super::world::World;

/// What a client does to its Job, some time after it has made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// `suspend: true`, and `false` later.
    Suspend,
    /// Another parallelism.
    Scale,
    /// Other completions, and parallelism with it, of an Indexed Job.
    Resize,
    /// Delete it.
    Delete(Option<Propagation>),
}

/// A Job that a client wants run.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Its name.
    pub name: String,
    /// The manifest.
    pub manifest: Value,
    /// When it is made.
    pub after: Duration,
    /// What is done to it then, each after a pause.
    pub deeds: Vec<(Duration, Deed)>,
    /// Its pods ask for an object, which is made so long after the Job.
    pub configured: Option<(&'static Kind, Duration)>,
}

impl Wish {
    /// Draws one.
    #[must_use]
    pub fn draw(number: usize, rng: &mut Rng) -> Self {
        let name = format!("job-{number}");
        let indexed = rng.chance(500);
        let completions = rng.between(1, 8);
        // Some never end by themselves: their Job has a deadline.
        let endless = rng.chance(150);
        let usual = *rng.pick(&[5, 50, 400, 400, 3000, 3000, 12_000]);
        let most = if endless { 10_000_000 } else { usual };
        let least = if endless { most } else { rng.below(most) };
        let fails = *rng.pick(&[0, 0, 0, 100, 400]);
        let ignores = *rng.pick(&[0, 0, 300]);
        let restarts = rng.chance(150);
        let mut spec = json!({
            "completions": completions,
            "parallelism": rng.between(1, completions.min(4)),
            "backoffLimit": rng.between(0, 3),
            "template": {"spec": {
                "restartPolicy": if restarts { "OnFailure" } else { "Never" },
                "terminationGracePeriodSeconds": rng.between(1, 3),
                "containers": [{
                    "name": "main", "image": "host",
                    "command": ["work", least.to_string(), most.to_string(), fails.to_string(), ignores.to_string()],
                }],
            }},
        });
        if restarts {
            let main = &mut spec["template"]["spec"]["containers"][0];
            main["env"] = json!([{"name": "RESTARTS", "value": "1"}]);
        }
        if indexed {
            spec["completionMode"] = json!("Indexed");
            per_index(&mut spec, completions, restarts, rng);
        } else if rng.chance(150) {
            spec["completions"] = Value::Null;
        }
        if !restarts && rng.chance(200) {
            failure_policy(&mut spec, rng);
        }
        if endless || rng.chance(100) {
            spec["activeDeadlineSeconds"] = json!(rng.between(2, 15));
        }
        if rng.chance(100) {
            spec["ttlSecondsAfterFinished"] = json!(rng.between(0, 5));
        }
        if rng.chance(100) {
            spec["suspend"] = json!(true);
        }
        let configured = asks(&mut spec, &name, restarts, rng);
        let deeds = deeds(&spec, indexed, rng);
        let mut manifest = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec,
        });
        if rng.chance(300) {
            // With the usual one, a worker that was lost is back before its pods are replaced.
            let base = *rng.pick(&["0s", "300ms"]);
            manifest["metadata"]["annotations"] = json!({ annotations::BACKOFF_BASE: base });
        }
        let after = Duration::from_millis(rng.below(4000));
        Self { name, manifest, after, deeds, configured }
    }
}

/// What its pods ask of a worker, and of an object.
fn asks(
    spec: &mut Value,
    name: &str,
    restarts: bool,
    rng: &mut Rng,
) -> Option<(&'static Kind, Duration)> {
    if rng.chance(250) {
        let selector = *rng.pick(&[("zone", "a"), ("disk", "fast")]);
        spec["template"]["spec"]["nodeSelector"] = json!({selector.0: selector.1});
    }
    if rng.chance(150) {
        let (key, value) = *rng.pick(&[("zone", "a"), ("disk", "fast")]);
        spec["template"]["spec"]["affinity"] = json!({"nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{
                "weight": rng.between(1, 100),
                "preference": {"matchExpressions": [
                    {"key": key, "operator": "In", "values": [value]},
                ]},
            }],
        }});
    }
    if rng.chance(150) {
        let cpu = *rng.pick(&["100m", "500m", "1"]);
        spec["template"]["spec"]["containers"][0]["resources"] =
            json!({"requests": {"cpu": cpu, "memory": "16Mi"}});
    }
    rng.chance(150).then(|| {
        let kind = if rng.chance(500) { &CONFIG_MAP } else { &SECRET };
        let source = if kind.about.kind == "Secret" { "secretKeyRef" } else { "configMapKeyRef" };
        let from = json!({source: {"name": name, "key": "setting"}});
        let main = &mut spec["template"]["spec"]["containers"][0];
        main["env"] = json!([
            {"name": "RESTARTS_IF_SET", "value": "1"},
            {"name": machine::SETTING, "valueFrom": from},
        ]);
        if restarts {
            main["env"][0]["name"] = json!("RESTARTS");
        }
        (kind, Duration::from_millis(*rng.pick(&[0, 2000, 20_000])))
    })
}

fn per_index(spec: &mut Value, completions: u64, restarts: bool, rng: &mut Rng) {
    if restarts {
        return;
    }
    if rng.chance(250) {
        spec["backoffLimitPerIndex"] = json!(rng.between(0, 1));
        spec["backoffLimit"] = Value::Null;
        if rng.chance(500) {
            spec["maxFailedIndexes"] = json!(rng.below(completions));
        }
    }
    if rng.chance(150) {
        let count = rng.between(1, completions);
        spec["successPolicy"] = json!({"rules": [{"succeededCount": count}]});
    }
}

fn failure_policy(spec: &mut Value, rng: &mut Rng) {
    let action = *rng.pick(&["FailJob", "Ignore", "Count"]);
    let mut rules = vec![json!({
        "action": action, "onExitCodes": {"operator": "In", "values": [rng.between(1, 3)]},
    })];
    if rng.chance(500) {
        rules.push(json!({
            "action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}],
        }));
    }
    spec["podFailurePolicy"] = json!({ "rules": rules });
}

fn deeds(spec: &Value, indexed: bool, rng: &mut Rng) -> Vec<(Duration, Deed)> {
    let mut deeds = Vec::new();
    let pause = |rng: &mut Rng| Duration::from_millis(rng.below(6000));
    for _ in 0..*rng.pick(&[0, 0, 0, 1, 2]) {
        let elastic = indexed && spec["completions"] == spec["parallelism"];
        let deed = match rng.below(4) {
            0 if elastic => Deed::Resize,
            0 | 1 => Deed::Scale,
            _ => Deed::Suspend,
        };
        deeds.push((pause(rng), deed));
    }
    if spec["suspend"] == true {
        deeds.insert(0, (pause(rng), Deed::Suspend));
    }
    if rng.chance(200) {
        let policies = [
            None,
            Some(Propagation::Background),
            Some(Propagation::Foreground),
            Some(Propagation::Orphan),
        ];
        deeds.push((pause(rng), Deed::Delete(*rng.pick(&policies))));
    }
    deeds
}

/// What came of a request.
enum Came {
    Done,
    Refused(Error),
    Unknown,
}

/// A request as a coordinator carries it out.
type Answering = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Looks after one Job from its making to the last deed.
pub async fn look_after(world: Arc<World>, wish: Wish, mut rng: Rng) {
    tokio::time::sleep(wish.after).await;
    let body = wish.manifest.to_string();
    insist(&world, &mut rng, |registry| {
        let body = body.clone();
        Box::pin(async move {
            let options = Options::default();
            registry.create_job("default", body.as_bytes(), None, &options).await.map(drop)
        })
    })
    .await;
    if let Some((_, pause)) = wish.configured {
        tokio::time::sleep(pause).await;
        configure(&world, &mut rng, &wish).await;
    }
    for (pause, deed) in &wish.deeds {
        tokio::time::sleep(*pause).await;
        if let Deed::Suspend = deed {
            if wish.manifest["spec"]["suspend"] != true {
                patch(&world, &mut rng, &wish.name, json!({"suspend": true})).await;
                // Often while the owner's word that it is suspended is on its way.
                let most = *rng.pick(&[60, 600, 5000]);
                tokio::time::sleep(Duration::from_millis(rng.below(most))).await;
            }
            patch(&world, &mut rng, &wish.name, json!({"suspend": false})).await;
            continue;
        }
        let number = rng.between(1, 5);
        match deed {
            Deed::Scale => {
                patch(&world, &mut rng, &wish.name, json!({"parallelism": number})).await
            }
            Deed::Resize => {
                let both = json!({"parallelism": number, "completions": number});
                patch(&world, &mut rng, &wish.name, both).await;
            }
            Deed::Delete(policy) => {
                let options = Options { propagation: *policy, ..Options::default() };
                let name = wish.name.clone();
                insist(&world, &mut rng, |registry| {
                    let (options, name) = (options.clone(), name.clone());
                    Box::pin(async move {
                        registry.delete_job("default", &name, &options).await.map(drop)
                    })
                })
                .await;
                truth::lock(&world.truth).was_deleted(&wish.name);
            }
            Deed::Suspend => {}
        }
    }
}

/// Makes what the Job's pods ask for.
pub async fn configure(world: &Arc<World>, rng: &mut Rng, wish: &Wish) {
    let Some((kind, _)) = wish.configured else { return };
    let data = if kind.about.kind == "Secret" { "stringData" } else { "data" };
    let body = json!({
        "apiVersion": "v1", "kind": kind.about.kind, "metadata": {"name": wish.name},
        data: {"setting": machine::SET},
    });
    let body = body.to_string();
    insist(world, rng, |registry| {
        let body = body.clone();
        Box::pin(async move {
            let options = Options::default();
            let made = registry.create_object(kind, "default", body.as_bytes(), None, &options);
            made.await.map(drop)
        })
    })
    .await;
}

async fn patch(world: &Arc<World>, rng: &mut Rng, name: &str, spec: Value) {
    let body = json!({ "spec": spec }).to_string();
    insist(world, rng, |registry| {
        let (body, name) = (body.clone(), name.to_owned());
        Box::pin(async move {
            let options = Options::default();
            registry.patch_job("default", &name, body.as_bytes(), None, &options).await.map(drop)
        })
    })
    .await;
}

/// Asks until it is known that it was done, or will not be.
async fn insist(world: &Arc<World>, rng: &mut Rng, request: impl Fn(Arc<Registry>) -> Answering) {
    loop {
        match ask(world, rng, &request).await {
            Came::Done => return,
            // Done before without our knowing, or not to be done: either way it is over.
            Came::Refused(
                Error::AlreadyExists { .. } | Error::NotFound { .. } | Error::Invalid { .. },
            ) => return,
            Came::Refused(_) | Came::Unknown => {
                tokio::time::sleep(Duration::from_millis(rng.between(100, 600))).await;
            }
        }
    }
}

/// One request to some coordinator; the answer may be lost with it.
async fn ask(
    world: &Arc<World>,
    rng: &mut Rng,
    request: &impl Fn(Arc<Registry>) -> Answering,
) -> Came {
    let Some((process, registry)) = world.some_coordinator(rng) else { return Came::Unknown };
    let answering = request(registry);
    let (told, answer) = oneshot::channel();
    process.run(async move {
        drop(told.send(answering.await));
    });
    match tokio::time::timeout(Duration::from_secs(8), answer).await {
        Ok(Ok(Ok(()))) => Came::Done,
        Ok(Ok(Err(error))) => Came::Refused(error),
        Ok(Err(_)) | Err(_) => Came::Unknown,
    }
}
