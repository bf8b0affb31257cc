//! What clients of Kubernetes know of pods and Jobs and is not offered here: that it is not, and
//! what is to be done instead.

use super::resources::ApiResource;
use crate::registry::Error;

/// Resource; verb or part; what to do.
const INSTEAD: [(&str, &str, &str); 7] = [
    ("pods", "create", "Jobs alone make pods: kubectl create job NAME --image=host -- COMMAND"),
    ("pods", "attach", "a pod's standard input is empty, and kubectl logs -f follows its output"),
    ("pods", "ephemeralcontainers", ON_ITS_NODE),
    ("pods", "exec", ON_ITS_NODE),
    ("pods", "portforward", AT_ITS_NODE),
    ("pods", "proxy", AT_ITS_NODE),
    (
        "jobs",
        "scale",
        "it is spec.parallelism: kubectl patch job NAME -p '{\"spec\": {\"parallelism\": 2}}'",
    ),
];

const ON_ITS_NODE: &str = "a pod's processes run on its node as any other's: look at them there, \
                           spec.nodeName says where";
const AT_ITS_NODE: &str = "a pod has its node's network: connect to status.hostIP";

/// There is no such part of a resource's objects.
pub(super) fn no_part(resource: &ApiResource, part: &str) -> Error {
    let about = resource.about;
    instead(about.plural, part).map_or(Error::NoSuchResource, |instead| Error::NotOffered {
        resource: about,
        what: part.to_owned(),
        instead,
    })
}

/// A resource does not have this verb.
pub(super) fn no_verb(resource: &ApiResource, verb: &str) -> Error {
    let (resource, verb) = (resource.about, verb.to_owned());
    match instead(resource.plural, &verb) {
        Some(instead) => Error::NotOffered { resource, what: verb, instead },
        None => Error::MethodNotAllowed { resource, verb },
    }
}

fn instead(plural: &str, what: &str) -> Option<&'static str> {
    let found = INSTEAD.iter().find(|(own, of, _)| (*own, *of) == (plural, what));
    found.map(|(.., instead)| *instead)
}
