//! Every subject, stream, consumer and header name, as functions of ids. No subject is built
//! elsewhere.
//!
//! ```text
//! <p>.obj.<resource>.<ns>.<name>                        objects; resourceVersion = stream sequence
//! <p>.work.<class>.<shard>.<job-uid>.<slot>.<attempt>   a pod to be run
//! <p>.pod.<shard>.<job-uid>.<slot>.<attempt>            a pod's life after pending
//! <p>.order.<shard>.<job-uid>.<slot>.<attempt>          a word from outside to a pod
//! <p>.order.<shard>.<job-uid>.<slot>.<attempt>.word     what clients say of a pod
//! <p>.log.<ns>.<job-uid>.<slot>.<attempt>.<container>   output, in chunks
//! <p>.event.<ns>.<kind>.<uid>.<name>                    Kubernetes Events
//! <p>.nudge.<worker>                                    core NATS: orders, again and again
//! <p>.v1.<ns>.<resource>.<verb>[.<name>]                the API
//! ```

use std::sync::Arc;

use crate::id::{Attempt, JobUid, PodId, Slot};

/// The namespace token that spans all namespaces, and of cluster-wide resources.
pub const ALL_NAMESPACES: &str = "_all";
/// The class of pods that ask for nothing in particular.
pub const DEFAULT_CLASS: &str = "default";
/// The only shard until several owners share the Jobs; in the subjects from the first day.
pub const SHARD: &str = "0";
/// Ends the subject of what clients say of a pod.
const WORD: &str = ".word";
/// Header of a request's trace context (W3C).
pub const TRACEPARENT: &str = "traceparent";
/// Header of a request's vendor trace state (W3C).
pub const TRACESTATE: &str = "tracestate";
/// ADR-32: the code of an error; ours is the HTTP code of the `Status`.
pub const SERVICE_ERROR_CODE: &str = "Nats-Service-Error-Code";
/// ADR-32: the text of an error.
pub const SERVICE_ERROR: &str = "Nats-Service-Error";
/// On the last message of a streamed answer, whose body is empty: why it ended.
pub const STREAM_END: &str = "Stint-End";
/// On answers: a warning, as HTTP's `Warning` header would carry it. May stand several times.
pub const WARNING: &str = "Warning";

/// Builds the names under one prefix. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    prefix: Arc<str>,
}

impl Default for Names {
    fn default() -> Self {
        Self::new("stint")
    }
}

impl Names {
    /// Names under `prefix`: lower case letters, digits and `-` only (it becomes part of stream
    /// names).
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self { prefix: Arc::from(prefix) }
    }

    /// The prefix itself.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    fn stream(&self, what: &str) -> String {
        format!("{}_{what}", self.prefix.to_uppercase())
    }

    /// Stream of objects: Jobs, templates, leases.
    #[must_use]
    pub fn objects_stream(&self) -> String {
        self.stream("OBJECTS")
    }

    /// Work queue: one item per pod to be run.
    #[must_use]
    pub fn work_stream(&self) -> String {
        self.stream("WORK")
    }

    /// Stream of pods' lives, and of orders to them.
    #[must_use]
    pub fn pods_stream(&self) -> String {
        self.stream("PODS")
    }

    /// Stream of output.
    #[must_use]
    pub fn logs_stream(&self) -> String {
        self.stream("LOGS")
    }

    /// Stream of Kubernetes Events.
    #[must_use]
    pub fn events_stream(&self) -> String {
        self.stream("EVENTS")
    }

    /// An object's subject. Dots in names become `_`, which no Kubernetes name contains.
    #[must_use]
    pub fn object(&self, resource: &str, namespace: &str, name: &str) -> String {
        format!("{}.obj.{resource}.{namespace}.{}", self.prefix, escape(name))
    }

    /// Every object, or every object of one resource.
    #[must_use]
    pub fn objects(&self, resource: Option<&str>) -> String {
        match resource {
            Some(resource) => format!("{}.obj.{resource}.>", self.prefix),
            None => format!("{}.obj.>", self.prefix),
        }
    }

    /// An immutable pod template.
    #[must_use]
    pub fn template(&self, job: JobUid, hash: &str) -> String {
        format!("{}.obj.templates.{job}.{hash}", self.prefix)
    }

    /// Which pods of a Job are over for good. Among its templates, so that one read of the last of
    /// them tells both.
    #[must_use]
    pub fn seal(&self, job: JobUid) -> String {
        self.template(job, "seal")
    }

    /// All templates of one Job, and its seal.
    #[must_use]
    pub fn templates(&self, job: JobUid) -> String {
        format!("{}.obj.templates.{job}.*", self.prefix)
    }

    /// What clients say of a worker: its Node's record.
    #[must_use]
    pub fn node(&self, worker: &str) -> String {
        self.object("nodes", ALL_NAMESPACES, worker)
    }

    /// The definition of a class of pods.
    #[must_use]
    pub fn class(&self, class: &str) -> String {
        self.object("classes", ALL_NAMESPACES, class)
    }

    /// The lease chain of a worker.
    #[must_use]
    pub fn worker_lease(&self, worker: &str) -> String {
        self.object("leases", "_workers", worker)
    }

    /// The lease chain of the owner.
    #[must_use]
    pub fn owner_lease(&self) -> String {
        self.object("leases", "_coordinator", "owner")
    }

    /// Up to which sequence tombstones of objects have been removed.
    #[must_use]
    pub fn horizon(&self) -> String {
        self.object("horizons", "_coordinator", "deleted")
    }

    /// A pod's work item.
    #[must_use]
    pub fn work(&self, class: &str, pod: PodId) -> String {
        format!("{}.work.{class}.{SHARD}.{pod}", self.prefix)
    }

    /// All work items, or those of one class.
    #[must_use]
    pub fn work_of_class(&self, class: Option<&str>) -> String {
        match class {
            Some(class) => format!("{}.work.{class}.>", self.prefix),
            None => format!("{}.work.>", self.prefix),
        }
    }

    /// All work items of one Job, whatever their class.
    #[must_use]
    pub fn work_of_job(&self, job: JobUid) -> String {
        format!("{}.work.*.*.{job}.>", self.prefix)
    }

    /// The durable consumer of a class.
    #[must_use]
    pub fn class_consumer(&self, class: &str) -> String {
        format!("class-{class}")
    }

    /// A pod's record.
    #[must_use]
    pub fn pod(&self, pod: PodId) -> String {
        format!("{}.pod.{SHARD}.{pod}", self.prefix)
    }

    /// All pod records, or those of one Job.
    #[must_use]
    pub fn pods(&self, job: Option<JobUid>) -> String {
        match job {
            Some(job) => format!("{}.pod.*.{job}.>", self.prefix),
            None => format!("{}.pod.>", self.prefix),
        }
    }

    /// An order to a pod.
    #[must_use]
    pub fn order(&self, pod: PodId) -> String {
        format!("{}.order.{SHARD}.{pod}", self.prefix)
    }

    /// What clients say of a pod. Among the orders, so that it goes with them.
    #[must_use]
    pub fn word(&self, pod: PodId) -> String {
        format!("{}.order.{SHARD}.{pod}{WORD}", self.prefix)
    }

    /// All orders and words, or those to one Job's pods.
    #[must_use]
    pub fn orders(&self, job: Option<JobUid>) -> String {
        match job {
            Some(job) => format!("{}.order.*.{job}.>", self.prefix),
            None => format!("{}.order.>", self.prefix),
        }
    }

    /// A container's output.
    #[must_use]
    pub fn log(&self, namespace: &str, pod: PodId, container: &str) -> String {
        format!("{}.log.{namespace}.{pod}.{container}", self.prefix)
    }

    /// All output, or that of one Job.
    #[must_use]
    pub fn logs(&self, job: Option<JobUid>) -> String {
        match job {
            Some(job) => format!("{}.log.*.{job}.>", self.prefix),
            None => format!("{}.log.>", self.prefix),
        }
    }

    /// All output of one namespace.
    #[must_use]
    pub fn logs_of(&self, namespace: &str) -> String {
        format!("{}.log.{namespace}.>", self.prefix)
    }

    /// An Event about an object, whose kind and uid may be whatever a client says of it.
    #[must_use]
    pub fn event(&self, namespace: &str, kind: &str, uid: &str, name: &str) -> String {
        let (kind, uid) = (token(kind), token(uid));
        format!("{}.event.{namespace}.{kind}.{uid}.{}", self.prefix, escape(name))
    }

    /// The Event of a name, whatever it is about.
    #[must_use]
    pub fn event_named(&self, namespace: &str, name: &str) -> String {
        format!("{}.event.{namespace}.*.*.{}", self.prefix, escape(name))
    }

    /// Events about one object, in one namespace or wherever they are.
    #[must_use]
    pub fn events_about(&self, namespace: Option<&str>, uid: &str) -> String {
        format!("{}.event.{}.*.{}.>", self.prefix, namespace.unwrap_or("*"), token(uid))
    }

    /// Events of one namespace.
    #[must_use]
    pub fn events_of(&self, namespace: &str) -> String {
        format!("{}.event.{namespace}.>", self.prefix)
    }

    /// All Events.
    #[must_use]
    pub fn events(&self) -> String {
        format!("{}.event.>", self.prefix)
    }

    /// Core NATS subject on which a worker hears orders.
    #[must_use]
    pub fn nudge(&self, worker: &str) -> String {
        format!("{}.nudge.{}", self.prefix, escape(worker))
    }

    /// A request to the API. `name` is absent for verbs on collections.
    #[must_use]
    pub fn api(&self, namespace: &str, resource: &str, verb: &str, name: Option<&str>) -> String {
        match name {
            Some(name) => format!("{}.v1.{namespace}.{resource}.{verb}.{name}", self.prefix),
            None => format!("{}.v1.{namespace}.{resource}.{verb}", self.prefix),
        }
    }

    /// The subscription of the API service.
    #[must_use]
    pub fn api_root(&self) -> String {
        format!("{}.v1", self.prefix)
    }

    /// What a subject of the pods' stream is about; `None` when it is not one of ours.
    #[must_use]
    pub fn parse_pods_subject(&self, subject: &str) -> Option<PodsSubject> {
        let rest = subject.strip_prefix(&*self.prefix)?.strip_prefix('.')?;
        let (kind, rest) = rest.split_once('.')?;
        let (_shard, rest) = rest.split_once('.')?;
        if let (Some(pod), "order") = (rest.strip_suffix(WORD), kind) {
            return Some(PodsSubject::Word(pod.parse().ok()?));
        }
        let pod = rest.parse().ok()?;
        match kind {
            "pod" => Some(PodsSubject::Pod(pod)),
            "order" => Some(PodsSubject::Order(pod)),
            _ => None,
        }
    }

    /// The class and pod of a work item's subject.
    #[must_use]
    pub fn parse_work_subject<'a>(&self, subject: &'a str) -> Option<(&'a str, PodId)> {
        let rest = subject.strip_prefix(&*self.prefix)?.strip_prefix(".work.")?;
        let (class, rest) = rest.split_once('.')?;
        let (_shard, rest) = rest.split_once('.')?;
        Some((class, rest.parse().ok()?))
    }

    /// The resource, namespace and (unescaped) name of an object's subject.
    #[must_use]
    pub fn parse_object_subject<'a>(&self, subject: &'a str) -> Option<(&'a str, &'a str, String)> {
        let rest = subject.strip_prefix(&*self.prefix)?.strip_prefix(".obj.")?;
        let (resource, rest) = rest.split_once('.')?;
        let (namespace, name) = rest.split_once('.')?;
        Some((resource, namespace, name.replace('_', ".")))
    }

    /// The container and pod of a log subject.
    #[must_use]
    pub fn parse_log_subject<'a>(&self, subject: &'a str) -> Option<(PodId, &'a str)> {
        let rest = subject.strip_prefix(&*self.prefix)?.strip_prefix(".log.")?;
        let (_namespace, rest) = rest.split_once('.')?;
        let (pod, container) = rest.rsplit_once('.')?;
        Some((pod.parse().ok()?, container))
    }
}

/// What a subject of the pods' stream is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodsSubject {
    /// A pod's record.
    Pod(PodId),
    /// An order to a pod.
    Order(PodId),
    /// What clients say of a pod.
    Word(PodId),
}

impl PodsSubject {
    /// Which pod it is about.
    #[must_use]
    pub fn pod(self) -> PodId {
        let (Self::Pod(pod) | Self::Order(pod) | Self::Word(pod)) = self;
        pod
    }
}

/// Dots separate subject tokens; Kubernetes names may hold them but never `_`.
fn escape(name: &str) -> String {
    name.replace('.', "_")
}

/// Any text as one token of a subject.
fn token(text: &str) -> String {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let text: String =
        text.chars().map(|letter| if allowed(letter) { letter } else { '_' }).collect();
    if text.is_empty() { "_".to_owned() } else { text }
}

/// The letters of Kubernetes' generated names: no vowels, nothing that looks like another.
pub const NAME_LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// 27^5: how many suffixes of five letters there are.
const SUFFIXES: u32 = 14_348_907;
/// Kubernetes cuts the part before the five letters to this many characters.
const MAX_PREFIX: usize = 58;

/// The part of a pod's name before its suffix: `metadata.generateName` of the pod.
/// Indexed: `<job>-<index>-`, the Job's name cut so that the whole is at most 58 characters.
#[must_use]
pub fn pod_generate_name(job_name: &str, index: Option<Slot>) -> String {
    let tail = index.map_or_else(|| "-".to_owned(), |index| format!("-{index}-"));
    let room = MAX_PREFIX.saturating_sub(tail.len());
    let cut = job_name.char_indices().map(|(at, _)| at).nth(room).unwrap_or(job_name.len());
    format!("{}{tail}", &job_name[..cut])
}

/// A pod's name. It is unique in its Job, looks like Kubernetes', and leads back to its slot:
/// Indexed pods show the index and carry five letters of their uid; NonIndexed ones carry a keyed
/// permutation of their slot as five letters, and letters for the attempt when it is not the first.
#[must_use]
pub fn pod_name(job_name: &str, indexed: bool, pod: PodId) -> String {
    let mut name = pod_generate_name(job_name, indexed.then_some(pod.slot));
    if indexed {
        push_letters(&mut name, low_bits(pod.uid().0) % SUFFIXES, 5);
        return name;
    }
    let (multiplier, offset) = permutation_key(pod.job);
    let place = u64::from(pod.slot.0 % SUFFIXES);
    let permuted = (place * multiplier + offset) % u64::from(SUFFIXES);
    push_letters(&mut name, u32::try_from(permuted).unwrap_or(0), 5);
    if pod.attempt.0 > 0 {
        push_letters(&mut name, pod.attempt.0, 1);
    }
    // Past 27^5 slots the five letters repeat; the round is appended to keep the name unique.
    let round = pod.slot.0 / SUFFIXES;
    if round > 0 {
        name.push('-');
        push_letters(&mut name, round, 1);
    }
    name
}

/// At least `width` letters; more when the number needs more.
fn push_letters(name: &mut String, number: u32, width: usize) {
    let mut letters = Vec::with_capacity(7);
    let mut rest = number;
    while rest > 0 || letters.len() < width {
        letters.push(NAME_LETTERS[usize::try_from(rest % 27).unwrap_or(0)]);
        rest /= 27;
    }
    name.extend(letters.iter().rev().map(|letter| char::from(*letter)));
}

fn low_bits(uuid: uuid::Uuid) -> u32 {
    let bytes = uuid.into_bytes();
    u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]])
}

/// An affine permutation of 0..27^5, keyed by the Job. A multiplier prime to 3 makes it one.
fn permutation_key(job: JobUid) -> (u64, u64) {
    let bits = u64::from(low_bits(job.0));
    let multiplier = (bits % u64::from(SUFFIXES / 3)) * 3 + 1;
    (multiplier, (bits >> 7) % u64::from(SUFFIXES))
}

/// The slot and attempt that a pod's name says, for a Job of this name and kind. For Indexed Jobs
/// the attempt is found among `0..attempts(slot)`. `None` when no pod of the Job has this name.
pub fn parse_pod_name(
    name: &str,
    job_name: &str,
    indexed: bool,
    job: JobUid,
    attempts: impl Fn(Slot) -> u32,
) -> Option<PodId> {
    let slot = if indexed {
        let (rest, _suffix) = name.rsplit_once('-')?;
        rest.rsplit_once('-')?.1.parse::<Slot>().ok()?
    } else {
        let suffix = name.strip_prefix(&pod_generate_name(job_name, None))?;
        let (suffix, round) = suffix
            .split_once('-')
            .map_or((suffix, 0), |(suffix, round)| (suffix, read_letters(round).unwrap_or(0)));
        let permuted = u64::from(read_letters(suffix.get(..5)?)?);
        let (multiplier, offset) = permutation_key(job);
        let modulus = u64::from(SUFFIXES);
        let place = (permuted + modulus - offset) % modulus * inverse(multiplier) % modulus;
        let place = u32::try_from(place).ok()?;
        Slot(round.checked_mul(SUFFIXES)?.checked_add(place)?)
    };
    (0..attempts(slot))
        .map(|attempt| PodId { job, slot, attempt: Attempt(attempt) })
        .find(|pod| pod_name(job_name, indexed, *pod) == name)
}

fn read_letters(text: &str) -> Option<u32> {
    text.bytes().try_fold(0_u32, |number, byte| {
        let digit = NAME_LETTERS.iter().position(|letter| *letter == byte)?;
        number.checked_mul(27)?.checked_add(u32::try_from(digit).ok()?)
    })
}

/// The inverse of `multiplier` modulo 27^5: its order divides phi = 27^5 · 2/3.
fn inverse(multiplier: u64) -> u64 {
    let modulus = u64::from(SUFFIXES);
    let mut exponent = modulus / 3 * 2 - 1;
    let (mut base, mut result) = (multiplier % modulus, 1);
    while exponent > 0 {
        if exponent % 2 == 1 {
            result = result * base % modulus;
        }
        base = base * base % modulus;
        exponent /= 2;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;
    use uuid::Uuid;

    fn pod(job: u128, slot: u32, attempt: u32) -> PodId {
        PodId { job: JobUid(Uuid::from_u128(job)), slot: Slot(slot), attempt: Attempt(attempt) }
    }

    #[test]
    fn subjects_parse_back() {
        let names = Names::default();
        let pod = pod(1, 2, 3);
        assert_eq!(names.parse_pods_subject(&names.pod(pod)), Some(PodsSubject::Pod(pod)));
        assert_eq!(names.parse_pods_subject(&names.order(pod)), Some(PodsSubject::Order(pod)));
        assert_eq!(names.parse_work_subject(&names.work("default", pod)), Some(("default", pod)));
        assert_eq!(names.parse_log_subject(&names.log("ns", pod, "main")), Some((pod, "main")));
        let subject = names.object("jobs", "default", "a.b-c");
        assert_eq!(subject, "stint.obj.jobs.default.a_b-c");
        assert_eq!(names.parse_object_subject(&subject), Some(("jobs", "default", "a.b-c".into())));
        assert_eq!(names.parse_pods_subject("other.pod.0.x"), None);
    }

    #[test]
    fn generated_names_are_cut_at_58() {
        let long = "x".repeat(63);
        assert_eq!(pod_generate_name(&long, None).len(), 58);
        let name = pod_generate_name(&long, Some(Slot(12345)));
        assert_eq!(name.len(), 58);
        assert!(name.ends_with("x-12345-"));
        assert_eq!(pod_generate_name("pi", Some(Slot(0))), "pi-0-");
    }

    #[test]
    fn names_of_a_big_job_are_distinct() {
        let names: HashSet<String> =
            (0..50_000).map(|slot| pod_name("a", false, pod(99, slot, 0))).collect();
        assert_eq!(names.len(), 50_000);
    }

    proptest! {
        #[test]
        fn pod_names_lead_back(job: u128, slot: u32, attempt in 0_u32..40, indexed: bool) {
            let pod = pod(job, slot, attempt);
            let name = pod_name("my-job", indexed, pod);
            prop_assert_eq!(parse_pod_name(&name, "my-job", indexed, pod.job, |_| 40), Some(pod));
        }

        #[test]
        fn foreign_names_lead_nowhere(rest in "[a-z0-9-]{0,8}", indexed: bool) {
            let (job, name) = (JobUid(Uuid::nil()), format!("my-job-{rest}"));
            // Any five letters are some pod's.
            if let Some(pod) = parse_pod_name(&name, "my-job", indexed, job, |_| 3) {
                prop_assert_eq!(pod_name("my-job", indexed, pod), name);
            }
        }
    }
}
