//! Operations: what they do, and what they refuse.

use serde_json::json;

use super::*;

fn patched(target: Value, patch: Value) -> Result<Value, String> {
    let mut target = target;
    let patch = JsonPatch::read(&patch).map_err(|error| error.to_string())?;
    patch.apply(&mut target).map_err(|error| error.to_string())?;
    Ok(target)
}

fn check(target: Value, patch: Value, expect: Value) {
    assert_eq!(patched(target, patch.clone()), Ok(expect), "{patch}");
}

fn refuses(target: Value, patch: Value, words: &str) {
    let error = patched(target, patch.clone()).expect_err("it is refused");
    assert!(error.contains(words), "{patch}: {error}");
}

/// The examples of the RFC's appendix.
#[test]
fn the_examples_of_the_rfc() {
    check(
        json!({"foo": "bar"}),
        json!([{"op": "add", "path": "/baz", "value": "qux"}]),
        json!({"baz": "qux", "foo": "bar"}),
    );
    check(
        json!({"foo": ["bar", "baz"]}),
        json!([{"op": "add", "path": "/foo/1", "value": "qux"}]),
        json!({"foo": ["bar", "qux", "baz"]}),
    );
    check(
        json!({"baz": "qux", "foo": "bar"}),
        json!([{"op": "remove", "path": "/baz"}]),
        json!({"foo": "bar"}),
    );
    check(
        json!({"foo": ["bar", "qux", "baz"]}),
        json!([{"op": "remove", "path": "/foo/1"}]),
        json!({"foo": ["bar", "baz"]}),
    );
    check(
        json!({"baz": "qux"}),
        json!([{"op": "replace", "path": "/baz", "value": "boo"}]),
        json!({"baz": "boo"}),
    );
    check(
        json!({"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}}),
        json!([{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}]),
        json!({"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}}),
    );
    check(
        json!({"foo": ["all", "grass", "cows", "eat"]}),
        json!([{"op": "move", "from": "/foo/1", "path": "/foo/3"}]),
        json!({"foo": ["all", "cows", "eat", "grass"]}),
    );
    check(
        json!({"baz": "qux", "foo": ["a", 2, "c"]}),
        json!([{"op": "test", "path": "/baz", "value": "qux"}, {"op": "test", "path": "/foo/1", "value": 2.0}]),
        json!({"baz": "qux", "foo": ["a", 2, "c"]}),
    );
    refuses(
        json!({"baz": "qux"}),
        json!([{"op": "test", "path": "/baz", "value": "bar"}]),
        "testing value /baz failed",
    );
    check(
        json!({"foo": "bar"}),
        json!([{"op": "add", "path": "/child", "value": {"grandchild": {}}}]),
        json!({"foo": "bar", "child": {"grandchild": {}}}),
    );
    refuses(
        json!({"foo": "bar"}),
        json!([{"op": "add", "path": "/baz/bat", "value": "qux"}]),
        "/baz/bat: there is no object or list",
    );
    check(
        json!({"/": 9, "~1": 10}),
        json!([{"op": "test", "path": "/~01", "value": 10}]),
        json!({"/": 9, "~1": 10}),
    );
    check(
        json!({"foo": ["bar"]}),
        json!([{"op": "add", "path": "/foo/-", "value": ["abc", "def"]}]),
        json!({"foo": ["bar", ["abc", "def"]]}),
    );
}

#[test]
fn lists_have_ends() {
    let list = || json!({"a": [1, 2]});
    check(list(), json!([{"op": "add", "path": "/a/2", "value": 3}]), json!({"a": [1, 2, 3]}));
    check(list(), json!([{"op": "remove", "path": "/a/-1"}]), json!({"a": [1]}));
    check(list(), json!([{"op": "add", "path": "/a/-1", "value": 3}]), json!({"a": [1, 2, 3]}));
    check(
        list(),
        json!([{"op": "copy", "from": "/a/0", "path": "/b"}]),
        json!({"a": [1, 2], "b": 1}),
    );
    for place in ["3", "01", "-4", "x", "", "-0", "1e0"] {
        let path = format!("/a/{place}");
        refuses(list(), json!([{"op": "add", "path": path, "value": 3}]), "no such place");
    }
    refuses(list(), json!([{"op": "remove", "path": "/a/2"}]), "nothing at this path");
    refuses(list(), json!([{"op": "replace", "path": "/a/-", "value": 1}]), "nothing at this path");
}

#[test]
fn what_is_no_patch_is_refused() {
    let doc = || json!({"a": {"b": 1}});
    refuses(doc(), json!({"op": "remove"}), "must be a list");
    refuses(doc(), json!([{"op": "remove"}]), "needs a \"path\"");
    refuses(doc(), json!([{"op": "add", "path": "/a"}]), "needs a \"value\"");
    refuses(doc(), json!([{"op": "move", "path": "/a"}]), "needs a \"from\"");
    refuses(doc(), json!([{"op": "merge", "path": "/a"}]), "unexpected kind: merge");
    refuses(doc(), json!([{"op": "remove", "path": "a"}]), "is not a JSON pointer");
    refuses(doc(), json!([{"op": "move", "from": "/a", "path": "/a/b/c"}]), "inside itself");
    refuses(
        doc(),
        json!(vec![json!({"op": "remove", "path": "/a"}); 10_001]),
        "is 10000, got 10001",
    );
    check(doc(), json!([{"op": "test", "path": "/c", "value": null}]), doc());
    check(doc(), json!([{"op": "replace", "path": "", "value": 1}]), json!(1));
}

#[test]
fn no_patch_fills_the_memory_or_the_stack() {
    let double = json!({"op": "copy", "from": "", "path": "/a/-"});
    refuses(json!({"a": []}), json!(vec![double; 60]), "accumulated size");
    let mut path = String::new();
    let deeper: Vec<Value> = (0..200)
        .map(|_| {
            path.push_str("/a");
            json!({"op": "add", "path": path, "value": {}})
        })
        .collect();
    refuses(json!({}), json!(deeper), "nested deeper than 100 levels");
}
