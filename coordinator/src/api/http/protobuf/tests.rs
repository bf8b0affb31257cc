//! Bodies as Go clients write them.

use serde_json::json;

use super::*;

/// A member that carries bytes: a text or a message.
fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
    let mut member = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        member.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    member.push(u8::try_from(length).unwrap());
    member.extend_from_slice(content);
    member
}

fn number(member: u8, value: u8) -> Vec<u8> {
    vec![member << 3, value]
}

fn body(kind: &str, raw: &[u8]) -> Vec<u8> {
    let type_meta = [bytes(1, b"batch/v1"), bytes(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), bytes(1, &type_meta), bytes(2, raw), bytes(3, b""), bytes(4, b"")].concat()
}

#[test]
fn a_job_is_read_as_json_would_have_it() {
    let labels = bytes(11, &[bytes(1, b"app"), bytes(2, b"x")].concat());
    // What is not there comes as zero: no generateName, no time of creation.
    let metadata = [bytes(1, b"pi"), bytes(2, b""), bytes(8, b""), labels].concat();
    let container = [bytes(1, b"main"), bytes(2, b"host"), bytes(3, b"echo"), bytes(3, b"hi")];
    let container = [container.concat(), bytes(14, b"")].concat();
    let pod_spec = [bytes(2, &container), bytes(3, b"Never"), number(11, 0)].concat();
    let template = [bytes(1, b""), bytes(2, &pod_spec)].concat();
    // `parallelism` and `backoffLimit` are pointers: their zeros are meant.
    let spec = [number(1, 0), number(7, 0), bytes(6, &template)].concat();
    let raw = [bytes(1, &metadata), bytes(2, &spec), bytes(3, &number(4, 0))].concat();
    assert_eq!(
        decode(&body("Job", &raw)).unwrap(),
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "pi", "labels": {"app": "x"}},
            "spec": {
                "parallelism": 0,
                "backoffLimit": 0,
                "template": {
                    "spec": {
                        "containers": [{"name": "main", "image": "host", "command": ["echo", "hi"]}],
                        "restartPolicy": "Never",
                    },
                },
            },
        })
    );
}

#[test]
fn members_of_inner_messages_come_out() {
    let volume = [bytes(1, b"tmp"), bytes(2, &bytes(2, b""))].concat();
    let raw = bytes(2, &bytes(1, &volume));
    let pod = decode(&body("Pod", &raw)).unwrap();
    assert_eq!(pod["spec"]["volumes"], json!([{"name": "tmp", "emptyDir": {}}]));
}

#[test]
fn times_and_quantities_are_texts() {
    let time = [vec![1 << 3], vec![0xc0, 0xad, 0xa3, 0xcb, 0x06]].concat();
    assert_eq!(special::reader("Time").unwrap()(&time).unwrap(), json!("2026-01-15T12:00:00Z"));
    let micro = special::reader("MicroTime").unwrap()(&time).unwrap();
    assert_eq!(micro, json!("2026-01-15T12:00:00.000000Z"));
    let quantity = special::reader("Quantity").unwrap()(&bytes(1, b"100m")).unwrap();
    assert_eq!(quantity, json!("100m"));
}

#[test]
fn what_is_not_known_is_refused() {
    let fault = |body: &[u8]| envelope(body).unwrap_err();
    assert_eq!(fault(b"{}"), Fault::NoMagic);
    assert_eq!(fault(b"k8s\0\x0a\xff"), Fault::Cut);
    assert_eq!(fault(&body("Cat", b"")), Fault::UnknownKind("Cat".to_owned()));
    let unknown = Fault::UnknownMember { message: "Job", number: 15 };
    assert_eq!(fault(&body("Job", &number(15, 1))), unknown);
    let wrong = Fault::WrongType { message: "Job", number: 1 };
    assert_eq!(fault(&body("Job", &number(1, 1))), wrong);
}

#[test]
fn garbage_is_refused() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for length in 0..2000 {
        let raw: Vec<u8> = (0..length % 64)
            .map(|_| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random.to_le_bytes()[0]
            })
            .collect();
        drop(envelope(&body("Job", &raw)));
        drop(envelope(&[MAGIC, &raw].concat()));
    }
}
