//! Hash maps and sets whose order can be fixed: where something is done for each of their members,
//! a simulation must do it in the same order every time.

/// Keys of the hash: drawn by each map, but for simulations.
#[cfg(not(feature = "test-util"))]
pub type Hasher = std::hash::RandomState;

/// The same keys every time.
#[cfg(feature = "test-util")]
pub type Hasher = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;

/// [`std::collections::HashMap`]; made by `default()`.
pub type HashMap<K, V> = std::collections::HashMap<K, V, Hasher>;

/// [`std::collections::HashSet`]; made by `default()`.
pub type HashSet<T> = std::collections::HashSet<T, Hasher>;
