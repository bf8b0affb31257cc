"""A Job's whole life over NATS, with nats-py and nothing of Stint's."""

import asyncio
import json
import sys

import nats

URL, NAMESPACE = sys.argv[1:3]


def subject(rest):
    return f"stint.v1.{NAMESPACE}.{rest}"


async def main():
    nc = await nats.connect(URL)

    async def ask(what, body=b"", code=None, **headers):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        answer = await nc.request(subject(what), body, timeout=20, headers=headers or None)
        said = (answer.headers or {}).get("Nats-Service-Error-Code")
        assert said == (str(code) if code else None), (what, said, answer.data)
        return json.loads(answer.data) if answer.data else None

    # Found by the service protocol alone.
    info = json.loads((await nc.request("$SRV.INFO.stint", b"", timeout=20)).data)
    assert info["name"] == "stint" and info["endpoints"], info
    ping = json.loads((await nc.request("$SRV.PING.stint", b"", timeout=20)).data)
    assert ping["type"] == "io.nats.micro.v1.ping_response", ping

    inbox = nc.new_inbox()
    events = await nc.subscribe(inbox)
    await nc.publish(subject("jobs.watch"), b"", reply=inbox)

    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "life"},
        "spec": {
            "completions": 2,
            "completionMode": "Indexed",
            "template": {"spec": {"restartPolicy": "Never", "containers": [
                {"name": "main", "image": "host",
                 "command": ["sh", "-c", "echo index $JOB_COMPLETION_INDEX"]}]}},
        },
    }
    made = await ask("jobs.create", job)
    assert made["metadata"]["uid"], made
    again = await ask("jobs.create", job, code=409)
    assert again["reason"] == "AlreadyExists", again
    wrong = {**job, "spec": {**job["spec"], "paralelism": 1}}
    await ask("jobs.create", wrong, code=400)

    kinds = []
    while True:
        message = await events.next_msg(timeout=60)
        if not message.data:
            continue
        event = json.loads(message.data)
        kinds.append(event["type"])
        conditions = event["object"].get("status", {}).get("conditions", [])
        if any(it["type"] == "Complete" and it["status"] == "True" for it in conditions):
            break
    assert kinds[0] == "ADDED" and set(kinds[1:]) == {"MODIFIED"}, kinds

    done = await ask("jobs.get.life")
    assert done["status"]["succeeded"] == 2 and done["status"]["completedIndexes"] == "0,1", done
    pods = await ask("pods.list", labelSelector="job-name=life")
    assert len(pods["items"]) == 2, pods
    for pod in pods["items"]:
        name, index = pod["metadata"]["name"], pod["metadata"]["labels"][
            "batch.kubernetes.io/job-completion-index"]
        log_inbox = nc.new_inbox()
        pieces = await nc.subscribe(log_inbox)
        await nc.publish(subject(f"pods/log.get.{name}"), b"", reply=log_inbox)
        text = b""
        while True:
            piece = await pieces.next_msg(timeout=20)
            if (piece.headers or {}).get("Stint-End"):
                break
            text += piece.data
        assert text.decode() == f"index {index}\n", text
        await pieces.unsubscribe()

    patched = await ask("jobs.patch.life", {"metadata": {"labels": {"by": "nats-py"}}})
    assert patched["metadata"]["labels"]["by"] == "nats-py", patched
    found = await ask("jobs.list", labelSelector="by=nats-py")
    assert [it["metadata"]["name"] for it in found["items"]] == ["life"], found
    gone = await ask("jobs.delete.life")
    assert gone["status"] == "Success", gone
    await ask("jobs.get.life", code=404)
    await nc.close()
    print("done")


asyncio.run(main())
