//! Why a template cannot be run here.

/// What stands in the way, with the field that does. Admission refuses such Jobs; a template that
/// gets here all the same fails its pods, and never runs with a field left out.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// It is not a pod template.
    #[error("reading the pod template")]
    Template(#[source] serde_json::Error),
    /// A field that a host process cannot honour.
    #[error("{field} is not supported by the process runtime")]
    Unsupported {
        /// The path of the field.
        field: String,
    },
    /// A `fieldRef` that pods do not have.
    #[error("{field}: unknown field path {path:?}")]
    FieldPath {
        /// Where the reference stands.
        field: String,
        /// What it refers to.
        path: String,
    },
    /// A mount of a volume that the pod does not have.
    #[error("{field}: the pod has no volume {name:?}")]
    NoVolume {
        /// Where the mount stands.
        field: String,
        /// What it names.
        name: String,
    },
    /// The program would be in the image.
    #[error("{field}: a container without command cannot run as a host process")]
    NoCommand {
        /// The path of the field.
        field: String,
    },
}
