//! Texts that describe a machine: labels, taints, devices, quantities.

use std::sync::Arc;

use stint_common::quantity;
use stint_common::wire::Taint;
use stint_worker::agent::DeviceKind;

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// `KEY=VALUE`
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    name(key)?;
    Ok((key.to_owned(), value.to_owned()))
}

/// `KEY[=VALUE]:EFFECT`
pub(super) fn taint(text: &str) -> Result<Taint, String> {
    let wrong = || format!("must be KEY[=VALUE]:EFFECT, with an effect of {}", EFFECTS.join(", "));
    let (front, effect) = text.rsplit_once(':').ok_or_else(wrong)?;
    let (key, value) = front.split_once('=').unwrap_or((front, ""));
    if !EFFECTS.contains(&effect) {
        return Err(wrong());
    }
    name(key)?;
    let [key, value, effect] = [key, value, effect].map(ToOwned::to_owned);
    Ok(Taint { key, value, effect })
}

/// `NAME=COUNT[:VARIABLE]`. Without a variable it is the name in capitals.
pub(super) fn devices(text: &str) -> Result<(String, DeviceKind), String> {
    let wrong = "must be NAME=COUNT[:VARIABLE], such as example.com/gpu=2";
    let (resource, rest) = text.split_once('=').ok_or(wrong)?;
    let (count, variable) = rest.split_once(':').unwrap_or((rest, ""));
    if !resource.contains('/') {
        return Err(format!("{resource:?} needs a domain, such as example.com/{resource}"));
    }
    name(resource)?;
    let count = count.parse::<u64>().ok().filter(|count| *count <= 1024).ok_or(wrong)?;
    let letter = |it: char| if it.is_ascii_alphanumeric() { it.to_ascii_uppercase() } else { '_' };
    let variable = if variable.is_empty() {
        resource.chars().map(letter).collect()
    } else {
        variable.to_owned()
    };
    Ok((resource.to_owned(), DeviceKind { count, variable: Arc::from(variable) }))
}

/// `4Gi`
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let bytes = quantity::whole(text).and_then(|bytes| u64::try_from(bytes).ok());
    bytes.ok_or_else(|| "must be a quantity, such as 512Mi or 4Gi".to_owned())
}

/// `500m`, in thousandths.
pub(super) fn cpu(text: &str) -> Result<u64, String> {
    let milli = quantity::milli(text).and_then(|milli| u64::try_from(milli).ok());
    milli.ok_or_else(|| "must be a quantity, such as 500m or 2".to_owned())
}

/// Qualified names, roughly: a worker that is called otherwise is found by nobody.
fn name(text: &str) -> Result<(), String> {
    let good = |it: char| it.is_ascii_alphanumeric() || "-_./".contains(it);
    if text.is_empty() || text.len() > 317 || !text.chars().all(good) {
        return Err(format!("{text:?} is not a name: letters, digits, `-`, `_`, `.` and `/`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_checked_when_they_are_typed() {
        assert_eq!(label("a/b=c"), Ok(("a/b".to_owned(), "c".to_owned())));
        assert!(label("a").is_err() && label("=c").is_err() && label("a b=c").is_err());
        let found = taint("k=v:NoSchedule").unwrap();
        assert_eq!((&*found.key, &*found.value, &*found.effect), ("k", "v", "NoSchedule"));
        assert_eq!(taint("k:NoExecute").unwrap().value, "");
        assert!(taint("k").is_err() && taint("k:Never").is_err());
        let (name, kind) = devices("example.com/gpu=2").unwrap();
        assert_eq!((&*name, kind.count), ("example.com/gpu", 2));
        assert_eq!(&*kind.variable, "EXAMPLE_COM_GPU");
        assert_eq!(&*devices("a.b/c=1:D").unwrap().1.variable, "D");
        assert!(devices("gpu=1").is_err() && devices("a/b=x").is_err() && devices("a/b").is_err());
        assert_eq!((bytes("1Ki"), cpu("1.5")), (Ok(1024), Ok(1500)));
        assert!(bytes("x").is_err() && cpu("-1").is_err());
    }
}
