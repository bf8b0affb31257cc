//! Why a patch cannot be applied, in Kubernetes' words where it has some.

/// Why a patch cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The body is no patch of its kind.
    #[error("{0}")]
    Malformed(String),
    /// `$patch` asks for something unknown.
    #[error("unknown patch type: {0}")]
    UnknownDirective(String),
    /// `$deleteFromPrimitiveList` is not followed by a slash and a member's name.
    #[error("invalid patch format of primitive list")]
    BadPrimitiveList,
    /// `$retainKeys` is no list, or the patch sets what it would drop.
    #[error("invalid patch format of retainKeys")]
    BadRetainKeys,
    /// `$setElementOrder` is no list, or not followed by a slash and a member's name.
    #[error("invalid patch format of setElementOrder list")]
    BadElementOrder,
    /// The list and its order do not go together.
    #[error("The order in patch list:\n{list}\n doesn't match $setElementOrder list:\n{order}\n")]
    OrderMismatch {
        /// The list, as Go prints it.
        list: String,
        /// The order, as Go prints it.
        order: String,
    },
    /// An item of a list that is merged by a key has no key.
    #[error("map: {item} does not contain declared merge key: {key}")]
    NoMergeKey {
        /// The item, as Go prints it.
        item: String,
        /// The key.
        key: String,
    },
    /// Items of one list are of several types.
    #[error("list element types are not identical: {0}")]
    MixedList(String),
    /// A list in a list cannot be merged.
    #[error("lists of lists are not supported")]
    ListOfLists,
    /// An operation does not apply to the object.
    #[error("{operation} operation does not apply: {path}: {why}")]
    DoesNotApply {
        /// `add`, `remove`…
        operation: &'static str,
        /// Its JSON pointer.
        path: String,
        /// What is in the way.
        why: &'static str,
    },
    /// `test` found something else.
    #[error("testing value {0} failed: test failed")]
    TestFailed(String),
    /// More operations than are taken.
    #[error("The allowed maximum operations in a JSON patch is {limit}, got {given}")]
    TooManyOperations {
        /// How many would have been taken.
        limit: usize,
        /// How many there are.
        given: usize,
    },
    /// `copy` would make the object too large.
    #[error("Unable to complete the copy, the accumulated size increase of copy is over {0}")]
    TooMuchCopied(usize),
    /// The result would be nested too deep.
    #[error("nested deeper than {0} levels")]
    TooDeep(usize),
}
