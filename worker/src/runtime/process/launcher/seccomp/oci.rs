//! A profile as container runtimes write it: `defaultAction`, and `syscalls` with names, actions
//! and arguments.

use serde::Deserialize;
use syscalls::Sysno;

use super::profile::{Action, Condition, Profile, Rule, Test};

/// As the runtimes have it, where a profile does not say with which number calls fail.
const USUAL_ERRNO: u32 = 1;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    default_action: String,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    syscalls: Vec<Calls>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Calls {
    names: Vec<String>,
    action: String,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Vec<Argument>,
    /// Conditions of other tools' templates: a profile for a machine has none.
    includes: Option<serde_json::Map<String, serde_json::Value>>,
    excludes: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// Reads a profile. Calls that this machine does not have are passed over.
pub(super) fn read(text: &[u8]) -> Result<Profile, String> {
    let written: Written = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let default = action(&written.default_action, written.default_errno_ret)?;
    let mut rules = Vec::new();
    for calls in written.syscalls {
        let conditional = [&calls.includes, &calls.excludes];
        if conditional.iter().any(|it| it.as_ref().is_some_and(|it| !it.is_empty())) {
            return Err("it has `includes` or `excludes`: write it out for this machine".into());
        }
        let action = action(&calls.action, calls.errno_ret)?;
        let conditions = calls.args.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
        let numbers = calls.names.iter().filter_map(|name| name.parse::<Sysno>().ok());
        let numbers = numbers.filter_map(|number| u32::try_from(number.id()).ok());
        rules.extend(numbers.map(|call| Rule { call, conditions: conditions.clone(), action }));
    }
    Ok(Profile { default, rules })
}

fn action(name: &str, number: Option<u32>) -> Result<Action, String> {
    let number = u16::try_from(number.unwrap_or(USUAL_ERRNO)).map_err(|error| error.to_string())?;
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_ERRNO" => Action::Errno(number),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_TRAP" => Action::Trap,
        other => return Err(format!("{other} cannot be done: nobody watches for it")),
    })
}

fn condition(argument: &Argument) -> Result<Condition, String> {
    let Argument { index, value, value_two, op } = argument;
    if *index > 5 {
        return Err(format!("a call has no argument {index}"));
    }
    let test = match op.as_str() {
        "SCMP_CMP_EQ" => Test::Equal(*value),
        "SCMP_CMP_NE" => Test::NotEqual(*value),
        "SCMP_CMP_LT" => Test::Less(*value),
        "SCMP_CMP_LE" => Test::LessOrEqual(*value),
        "SCMP_CMP_GT" => Test::Greater(*value),
        "SCMP_CMP_GE" => Test::GreaterOrEqual(*value),
        "SCMP_CMP_MASKED_EQ" => Test::Masked { mask: *value, value: *value_two },
        other => return Err(format!("there is no comparison {other}")),
    };
    Ok(Condition { argument: *index, test })
}

#[cfg(test)]
mod tests {
    use nix::libc;

    use super::*;

    #[test]
    fn profiles_are_read_or_refused() {
        let text = r#"{
            "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [
                {"names": ["mkdir", "no_such_call", "mkdirat"], "action": "SCMP_ACT_ERRNO"},
                {"names": ["kill"], "action": "SCMP_ACT_KILL_PROCESS", "args": [
                    {"index": 1, "value": 9, "op": "SCMP_CMP_EQ"}]}
            ]}"#;
        let profile = read(text.as_bytes()).unwrap();
        assert_eq!(profile.default, Action::Allow);
        let refused = Action::Errno(u16::try_from(libc::EPERM).unwrap());
        let number = |call: Sysno| u32::try_from(call.id()).unwrap();
        let last = profile.rules.last().unwrap();
        assert_eq!((profile.rules[0].action, last.action), (refused, Action::KillProcess));
        assert_eq!(last.call, number(Sysno::kill));
        let wanted = Condition { argument: 1, test: Test::Equal(9) };
        assert_eq!(last.conditions, [wanted]);
        for wrong in [
            "{}",
            r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#,
            r#"{"defaultAction": "SCMP_ACT_LOG", "syscalls": [
                {"names": ["kill"], "action": "SCMP_ACT_LOG", "includes": {"caps": ["A"]}}]}"#,
        ] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
