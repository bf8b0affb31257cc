/* Submits a Job over NATS, follows it to its end, and prints what its pods wrote.
 *
 *     apt-get install libnats-dev libjansson-dev
 *     cc submit.c -o submit -lnats -ljansson
 *     NATS_URL=nats://127.0.0.1:4222 ./submit [NAME [NAMESPACE]]
 */

#include <jansson.h>
#include <nats/nats.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t ANSWER_MS = 10000;
static const int64_t SILENCE_MS = 20000; /* A stream says something every five seconds. */

static natsConnection *nc;
static const char *name = "from-c";
static const char *namespace = "default";

static void check(natsStatus status)
{
	if (status == NATS_OK)
		return;
	fprintf(stderr, "error: %s\n", natsStatus_GetText(status));
	exit(1);
}

static natsMsg *message(const char *what, const char *reply, const char *body)
{
	char subject[512];
	natsMsg *made = NULL;
	snprintf(subject, sizeof subject, "stint.v1.%s.%s", namespace, what);
	check(natsMsg_Create(&made, subject, reply, body, (int)strlen(body)));
	return made;
}

static const char *header(natsMsg *of, const char *key)
{
	const char *value = NULL;
	return natsMsgHeader_Get(of, key, &value) == NATS_OK ? value : NULL;
}

static json_t *decode(natsMsg *of)
{
	json_error_t error;
	json_t *value = json_loadb(natsMsg_GetData(of), (size_t)natsMsg_GetDataLength(of), 0, &error);
	if (!value) {
		fprintf(stderr, "error: not JSON: %s\n", error.text);
		exit(1);
	}
	return value;
}

static const char *text(json_t *of, const char *key)
{
	const char *value = json_string_value(json_object_get(of, key));
	return value ? value : "";
}

/* An error is a Status, and its code is in a header. 0 if it is none. */
static int failure(natsMsg *answer)
{
	const char *code = header(answer, "Nats-Service-Error-Code");
	if (!code)
		return 0;
	json_t *status = decode(answer);
	fprintf(stderr, "%s: %s\n", code, text(status, "message"));
	json_decref(status);
	return atoi(code);
}

/* One request, one answer. */
static natsMsg *ask(const char *what, const char *body, const char *option, const char *value)
{
	natsMsg *request = message(what, NULL, body), *answer = NULL;
	if (option)
		check(natsMsgHeader_Set(request, option, value));
	check(natsConnection_RequestMsg(&answer, nc, request, ANSWER_MS));
	natsMsg_Destroy(request);
	return answer;
}

/* Begins a watch or a log. */
static natsSubscription *stream(const char *what, const char *option, const char *value)
{
	natsInbox *inbox = NULL;
	natsSubscription *messages = NULL;
	check(natsInbox_Create(&inbox));
	check(natsConnection_SubscribeSync(&messages, nc, inbox));
	natsMsg *request = message(what, inbox, "");
	if (option)
		check(natsMsgHeader_Set(request, option, value));
	check(natsConnection_PublishMsg(nc, request));
	natsMsg_Destroy(request);
	natsInbox_Destroy(inbox);
	return messages;
}

/* The next message of a stream that is not a heartbeat. NULL at its end, or, with `broken`, when nothing came. */
static natsMsg *next(natsSubscription *messages, bool *broken)
{
	for (;;) {
		natsMsg *got = NULL;
		*broken = natsSubscription_NextMsg(&got, messages, SILENCE_MS) != NATS_OK || failure(got) != 0;
		if (!*broken && !header(got, "Stint-Heartbeat") && !header(got, "Stint-End"))
			return got;
		bool over = *broken || header(got, "Stint-End");
		natsMsg_Destroy(got);
		if (over)
			return NULL;
	}
}

/* What an event says of the Job: "Complete", "Failed", "Deleted", or NULL if it goes on. */
static const char *judge(json_t *event)
{
	json_t *status = json_object_get(json_object_get(event, "object"), "status"), *condition;
	size_t at;
	printf("%s", text(event, "type"));
	const char *counts[] = {"active", "succeeded", "failed"};
	for (int i = 0; i < 3; i++)
		printf(" %s %lld", counts[i], json_integer_value(json_object_get(status, counts[i])));
	printf("\n");
	if (!strcmp(text(event, "type"), "DELETED"))
		return "Deleted";
	json_array_foreach(json_object_get(status, "conditions"), at, condition) {
		if (strcmp(text(condition, "status"), "True"))
			continue;
		if (!strcmp(text(condition, "type"), "Complete"))
			return "Complete";
		if (!strcmp(text(condition, "type"), "Failed"))
			return "Failed";
	}
	return NULL;
}

/* Watches the Job until it is Complete or has Failed, whatever becomes of single watches. */
static const char *outcome(void)
{
	char selector[300];
	snprintf(selector, sizeof selector, "metadata.name=%s", name);
	for (;;) {
		natsSubscription *messages = stream("jobs.watch", "fieldSelector", selector);
		const char *end = NULL;
		bool broken = false;
		natsMsg *got;
		while (!end && (got = next(messages, &broken))) {
			json_t *event = decode(got);
			end = judge(event);
			json_decref(event);
			natsMsg_Destroy(got);
		}
		natsSubscription_Destroy(messages);
		if (end)
			return end;
		if (broken) {
			fprintf(stderr, "the watch begins again\n");
			sleep(1);
		}
	}
}

static void print_log(const char *pod)
{
	char what[400];
	bool broken = false;
	natsMsg *piece;
	snprintf(what, sizeof what, "pods/log.get.%s", pod);
	natsSubscription *messages = stream(what, NULL, NULL);
	while ((piece = next(messages, &broken))) {
		fwrite(natsMsg_GetData(piece), 1, (size_t)natsMsg_GetDataLength(piece), stdout);
		natsMsg_Destroy(piece);
	}
	natsSubscription_Destroy(messages);
	if (broken)
		exit(1);
}

int main(int argc, char **argv)
{
	const char *url = getenv("NATS_URL");
	name = argc > 1 ? argv[1] : name;
	namespace = argc > 2 ? argv[2] : namespace;
	check(natsConnection_ConnectTo(&nc, url ? url : NATS_DEFAULT_URL));

	json_t *job = json_pack(
	    "{s:s, s:s, s:{s:s}, s:{s:s, s:i, s:i, s:{s:{s:s, s:[{s:s, s:s, s:[s, s, s]}]}}}}",
	    "apiVersion", "batch/v1", "kind", "Job", "metadata", "name", name,
	    "spec", "completionMode", "Indexed", "completions", 3, "parallelism", 3,
	    "template", "spec", "restartPolicy", "Never",
	    "containers", "name", "main", "image", "host",
	    "command", "sh", "-c", "echo index $JOB_COMPLETION_INDEX of C");
	char *body = json_dumps(job, JSON_COMPACT);
	natsMsg *answer = ask("jobs.create", body, NULL, NULL);
	int code = failure(answer);
	natsMsg_Destroy(answer);
	free(body);
	json_decref(job);
	/* A name is given once. So who asked, and heard no answer, may just ask again. */
	if (code && code != 409)
		return 1;

	const char *end = outcome();
	char selector[300];
	snprintf(selector, sizeof selector, "job-name=%s", name);
	answer = ask("pods.list", "", "labelSelector", selector);
	json_t *pods = decode(answer), *pod;
	size_t at;
	json_array_foreach(json_object_get(pods, "items"), at, pod)
		print_log(text(json_object_get(pod, "metadata"), "name"));
	json_decref(pods);
	natsMsg_Destroy(answer);
	natsConnection_Close(nc);
	natsConnection_Destroy(nc);
	nats_Close();
	printf("%s\n", end);
	return strcmp(end, "Complete") != 0;
}
