//! The table's lines on volumes.

use super::Field;
use super::Rule::{Each, Inside, Only, Refused, Works};
use super::table::{NO_FILES, RESOURCE_FIELD_REF, field};

const NO_OWNERS: &str = "use securityContext.fsGroup";
const NO_STORAGE: &str = "mount it on the machine, and use hostPath";
const NO_PROPAGATION: &str = "mounts are the container's own";

/// `volumes[]` of a pod.
pub const VOLUME: &[Field] = &[
    field("awsElasticBlockStore", Refused(NO_STORAGE)),
    field("azureDisk", Refused(NO_STORAGE)),
    field("azureFile", Refused(NO_STORAGE)),
    field("cephfs", Refused(NO_STORAGE)),
    field("cinder", Refused(NO_STORAGE)),
    field("configMap", Inside(CONFIG_MAP)),
    field("csi", Refused(NO_STORAGE)),
    field("downwardAPI", Inside(DOWNWARD_FILES)),
    field("emptyDir", Inside(EMPTY_DIR)),
    field("ephemeral", Refused("use emptyDir")),
    field("fc", Refused(NO_STORAGE)),
    field("flexVolume", Refused(NO_STORAGE)),
    field("flocker", Refused(NO_STORAGE)),
    field("gcePersistentDisk", Refused(NO_STORAGE)),
    field("gitRepo", Refused("let the program clone it into an emptyDir")),
    field("glusterfs", Refused(NO_STORAGE)),
    field("hostPath", Works),
    field("image", Refused(NO_FILES)),
    field("iscsi", Refused(NO_STORAGE)),
    field("name", Works),
    field("nfs", Refused(NO_STORAGE)),
    field("persistentVolumeClaim", Refused(NO_STORAGE)),
    field("photonPersistentDisk", Refused(NO_STORAGE)),
    field("portworxVolume", Refused(NO_STORAGE)),
    field("projected", Inside(PROJECTED)),
    field("quobyte", Refused(NO_STORAGE)),
    field("rbd", Refused(NO_STORAGE)),
    field("scaleIO", Refused(NO_STORAGE)),
    field("secret", Inside(SECRET)),
    field("storageos", Refused(NO_STORAGE)),
    field("vsphereVolume", Refused(NO_STORAGE)),
];

/// `emptyDir` of a volume.
pub const EMPTY_DIR: &[Field] = &[
    field("medium", Only(&["Memory"], "leave it out, or write Memory")),
    field("mode", Refused("everybody may write into it, as by default")),
    field("sizeLimit", Works),
];

/// `configMap` of a volume.
pub const CONFIG_MAP: &[Field] = &[
    field("defaultMode", Works),
    field("defaultUser", Refused(NO_OWNERS)),
    field("items", Each(KEY_TO_PATH)),
    field("name", Works),
    field("optional", Works),
];

/// `secret` of a volume.
pub const SECRET: &[Field] = &[
    field("defaultMode", Works),
    field("defaultUser", Refused(NO_OWNERS)),
    field("items", Each(KEY_TO_PATH)),
    field("optional", Works),
    field("secretName", Works),
];

/// `configMap` and `secret` of a projected volume's source.
pub const PROJECTED_OBJECT: &[Field] =
    &[field("items", Each(KEY_TO_PATH)), field("name", Works), field("optional", Works)];

/// `items[]` of these.
pub const KEY_TO_PATH: &[Field] = &[
    field("key", Works),
    field("mode", Works),
    field("path", Works),
    field("user", Refused(NO_OWNERS)),
];

/// `downwardAPI` of a volume, or of a projected one's source.
pub const DOWNWARD_FILES: &[Field] = &[
    field("defaultMode", Works),
    field("defaultUser", Refused(NO_OWNERS)),
    field("items", Each(DOWNWARD_FILE)),
];

/// `items[]` of a `downwardAPI`.
pub const DOWNWARD_FILE: &[Field] = &[
    field("fieldRef", Inside(VOLUME_FIELD_REF)),
    field("mode", Works),
    field("path", Works),
    field("resourceFieldRef", Inside(RESOURCE_FIELD_REF)),
    field("user", Refused(NO_OWNERS)),
];

/// `fieldRef` of a file: what Kubernetes lets in works.
const VOLUME_FIELD_REF: &[Field] = &[field("apiVersion", Works), field("fieldPath", Works)];

/// `projected` of a volume.
pub const PROJECTED: &[Field] = &[
    field("defaultMode", Works),
    field("defaultUser", Refused(NO_OWNERS)),
    field("sources", Each(PROJECTION)),
];

/// `sources[]` of a projected volume.
pub const PROJECTION: &[Field] = &[
    field("clusterTrustBundle", Refused("write the certificates into a file of the machine")),
    field("configMap", Inside(PROJECTED_OBJECT)),
    field("downwardAPI", Inside(DOWNWARD_FILES)),
    field("podCertificate", Refused("there is nobody who would sign it")),
    field("secret", Inside(PROJECTED_OBJECT)),
    field("serviceAccountToken", Refused("there is no account's token to be had")),
];

/// `volumeMounts[]` of a container.
pub const MOUNT: &[Field] = &[
    field("bindMountOptions", Refused("mount it on the machine with these options")),
    field("mountPath", Works),
    field("mountPropagation", Only(&["None"], NO_PROPAGATION)),
    field("name", Works),
    field("readOnly", Works),
    field("recursiveReadOnly", Only(&["Disabled"], "use readOnly")),
    field("subPath", Works),
    field("subPathExpr", Works),
];
