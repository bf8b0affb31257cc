//! A filter as a program for the kernel's classic BPF machine: one comparison of the call's number
//! for each rule, then those of its arguments, word by word.

use nix::libc;
use seccompiler::{BpfProgram, sock_filter};

use super::profile::{Action, Condition, Profile, Rule, Test};

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const EQUAL: u16 = 0x15;
const GREATER: u16 = 0x25;
const GREATER_OR_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;
/// Where the call's number, its architecture and its arguments lie in what the program reads.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;
/// Programs can be this long.
const MOST_STEPS: usize = 4096;

const OWN: Option<u32> = if cfg!(target_arch = "x86_64") {
    Some(0xC000_003E)
} else if cfg!(target_arch = "aarch64") {
    Some(0xC000_00B7)
} else {
    None
};
/// Numbers from here on are of x86-64's third kind of program, which hardly any kernel runs.
const X32: u32 = 0x4000_0000;

/// Why a filter cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// It is longer than the kernel takes.
    #[error("it has too many rules, or conditions in one of them")]
    TooLong,
    /// What programs of this machine are called is not known.
    #[error("calls can be filtered on x86-64 and 64-bit ARM only")]
    Machine,
}

/// Where to go on.
#[derive(Clone, Copy)]
enum To {
    Next,
    /// The condition holds.
    Holds,
    /// It does not: on to the next rule.
    Fails,
}

struct Step {
    code: u16,
    value: u32,
    yes: To,
    no: To,
}

/// The program of a filter. Calls of other kinds of programs than this machine's own (of 32 bits)
/// fail as unknown ones do: their numbers mean other things.
pub(super) fn compile(profile: &Profile) -> Result<BpfProgram, Unfit> {
    let own = OWN.ok_or(Unfit::Machine)?;
    let unknown = Action::Errno(u16::try_from(libc::ENOSYS).unwrap_or(u16::MAX));
    let mut program = vec![
        step(LOAD, ARCHITECTURE),
        jump(EQUAL, own, 1, 0),
        step(RETURN, code(unknown)),
        step(LOAD, NUMBER),
    ];
    if cfg!(target_arch = "x86_64") {
        program.extend([jump(GREATER_OR_EQUAL, X32, 0, 1), step(RETURN, code(unknown))]);
    }
    for rule in &profile.rules {
        let body = body(rule)?;
        program.push(jump(EQUAL, rule.call, 0, short(body.len())?));
        program.extend(body);
        if !rule.conditions.is_empty() {
            program.push(step(LOAD, NUMBER));
        }
    }
    program.push(step(RETURN, code(profile.default)));
    if program.len() > MOST_STEPS { Err(Unfit::TooLong) } else { Ok(program) }
}

/// The conditions of a rule and its action.
fn body(rule: &Rule) -> Result<Vec<sock_filter>, Unfit> {
    let conditions: Vec<Vec<Step>> = rule.conditions.iter().map(steps).collect();
    let length = conditions.iter().map(Vec::len).sum::<usize>() + 1;
    let mut body = Vec::with_capacity(length);
    for condition in &conditions {
        let holds = body.len() + condition.len();
        for step in condition {
            let here = body.len() + 1;
            let to = |to: To| match to {
                To::Next => Ok(0),
                To::Holds => short(holds - here),
                To::Fails => short(length - here),
            };
            body.push(jump(step.code, step.value, to(step.yes)?, to(step.no)?));
        }
    }
    body.push(step(RETURN, code(rule.action)));
    Ok(body)
}

/// The steps of one condition. The machine has words of 32 bits, arguments have 64.
fn steps(condition: &Condition) -> Vec<Step> {
    let low = ARGUMENTS + 8 * u32::from(condition.argument);
    let load = |at| Step { code: LOAD, value: at, yes: To::Next, no: To::Next };
    let (load_low, load_high) = (load(low), load(low + 4));
    let test = |code, value, yes, no| Step { code, value, yes, no };
    let and = |value| Step { code: AND, value, yes: To::Next, no: To::Next };
    let compare = |value: u64, code, yes, no| {
        let (high, low) = halves(value);
        let load_low = load(ARGUMENTS + 8 * u32::from(condition.argument));
        vec![
            load(ARGUMENTS + 8 * u32::from(condition.argument) + 4),
            test(GREATER, high, yes, To::Next),
            test(EQUAL, high, To::Next, no),
            load_low,
            test(code, low, yes, no),
        ]
    };
    match condition.test {
        Test::Equal(value) => {
            let (high, low) = halves(value);
            vec![
                load_high,
                test(EQUAL, high, To::Next, To::Fails),
                load_low,
                test(EQUAL, low, To::Holds, To::Fails),
            ]
        }
        Test::NotEqual(value) => {
            let (high, low) = halves(value);
            vec![
                load_high,
                test(EQUAL, high, To::Next, To::Holds),
                load_low,
                test(EQUAL, low, To::Fails, To::Holds),
            ]
        }
        Test::Greater(value) => compare(value, GREATER, To::Holds, To::Fails),
        Test::GreaterOrEqual(value) => compare(value, GREATER_OR_EQUAL, To::Holds, To::Fails),
        Test::LessOrEqual(value) => compare(value, GREATER, To::Fails, To::Holds),
        Test::Less(value) => compare(value, GREATER_OR_EQUAL, To::Fails, To::Holds),
        Test::Masked { mask, value } => {
            let ((mask_high, mask_low), (high, low)) = (halves(mask), halves(value & mask));
            vec![
                load_high,
                and(mask_high),
                test(EQUAL, high, To::Next, To::Fails),
                load_low,
                and(mask_low),
                test(EQUAL, low, To::Holds, To::Fails),
            ]
        }
    }
}

fn halves(value: u64) -> (u32, u32) {
    let half = |value: u64| u32::try_from(value & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    (half(value >> 32), half(value))
}

fn code(action: Action) -> u32 {
    match action {
        Action::Allow => libc::SECCOMP_RET_ALLOW,
        Action::Log => libc::SECCOMP_RET_LOG,
        Action::Errno(number) => libc::SECCOMP_RET_ERRNO | u32::from(number),
        Action::KillThread => libc::SECCOMP_RET_KILL_THREAD,
        Action::KillProcess => libc::SECCOMP_RET_KILL_PROCESS,
        Action::Trap => libc::SECCOMP_RET_TRAP,
    }
}

fn short(distance: usize) -> Result<u8, Unfit> {
    u8::try_from(distance).map_err(|_| Unfit::TooLong)
}

fn step(code: u16, k: u32) -> sock_filter {
    jump(code, k, 0, 0)
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: u32 = OWN.unwrap();

    /// The kernel's machine, as far as it is used.
    fn run(program: &[sock_filter], architecture: u32, number: u32, arguments: &[u64]) -> u32 {
        let word = |at: u32| match at {
            NUMBER => number,
            ARCHITECTURE => architecture,
            at => {
                let place = usize::try_from((at - ARGUMENTS) / 8).unwrap();
                let (high, low) = halves(arguments.get(place).copied().unwrap_or(0));
                if at % 8 == 0 { low } else { high }
            }
        };
        let (mut at, mut held) = (0, 0);
        loop {
            let step = &program[at];
            at += 1;
            let truth = match step.code {
                LOAD => {
                    held = word(step.k);
                    continue;
                }
                AND => {
                    held &= step.k;
                    continue;
                }
                RETURN => return step.k,
                EQUAL => held == step.k,
                GREATER => held > step.k,
                GREATER_OR_EQUAL => held >= step.k,
                other => panic!("{other}"),
            };
            at += usize::from(if truth { step.jt } else { step.jf });
        }
    }

    #[test]
    fn arguments_are_tested_in_all_their_bits() {
        const BIG: u64 = 0x0001_0002_0003_0004;
        let around = [0, 4, BIG - 1, BIG, BIG + 1, BIG + (1 << 32), u64::MAX];
        type Truth = fn(u64) -> bool;
        let tests: [(Test, Truth); 7] = [
            (Test::Equal(BIG), |it| it == BIG),
            (Test::NotEqual(BIG), |it| it != BIG),
            (Test::Less(BIG), |it| it < BIG),
            (Test::LessOrEqual(BIG), |it| it <= BIG),
            (Test::Greater(BIG), |it| it > BIG),
            (Test::GreaterOrEqual(BIG), |it| it >= BIG),
            (Test::Masked { mask: 6, value: 4 }, |it| it & 6 == 4),
        ];
        for (test, truth) in tests {
            let always = Condition { argument: 0, test: Test::Equal(7) };
            let conditions = vec![always, Condition { argument: 5, test }];
            let rule = Rule { call: 9, conditions, action: Action::Errno(1) };
            let other = Rule { call: 8, conditions: Vec::new(), action: Action::Errno(2) };
            let profile = Profile { default: Action::Allow, rules: vec![rule, other] };
            let program = compile(&profile).unwrap();
            for argument in around {
                let got = run(&program, ME, 9, &[7, 0, 0, 0, 0, argument]);
                let expect = if truth(argument) { Action::Errno(1) } else { Action::Allow };
                assert_eq!(got, code(expect), "{test:?} {argument:x}");
                assert_eq!(run(&program, ME, 9, &[6, 0, 0, 0, 0, argument]), code(Action::Allow));
            }
            assert_eq!(run(&program, ME, 8, &[]), code(Action::Errno(2)));
            assert_eq!(run(&program, ME, 10, &[]), code(Action::Allow));
            let unknown = u32::try_from(libc::ENOSYS).unwrap() | libc::SECCOMP_RET_ERRNO;
            assert_eq!(run(&program, ME ^ 1, 10, &[]), unknown);
        }
    }

    #[test]
    fn there_is_an_end_to_rules() {
        let rule = Rule { call: 1, conditions: Vec::new(), action: Action::Allow };
        let profile = Profile { default: Action::Trap, rules: vec![rule; MOST_STEPS / 2] };
        assert_eq!(compile(&profile).unwrap_err(), Unfit::TooLong);
    }
}
