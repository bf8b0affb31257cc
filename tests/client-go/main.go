// Stint asked by client-go, Kubernetes' own client library, as programs in Go use it: `run` beside
// this file builds it from Debian's packages and starts what it asks.
package main

import (
	"context"
	"fmt"
	"os"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"
)

const (
	asJSON     = "application/json"
	asProtobuf = "application/vnd.kubernetes.protobuf"
	// Not known here: a client that speaks it goes on in JSON.
	asCBOR = "application/cbor"
)

var passed, failed int

// check says whether something held.
func check(what string, err error) bool {
	if err != nil {
		failed++
		fmt.Printf("FAIL %s: %v\n", what, err)
		return false
	}
	passed++
	fmt.Printf("ok   %s\n", what)
	return true
}

func want(what string, ok bool, detail ...any) {
	if ok {
		check(what, nil)
	} else {
		check(what, fmt.Errorf("%v", detail))
	}
}

// config of a client whose bodies are of this type; without a limit of its own on requests.
func config(content string) *rest.Config {
	c, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		panic(err)
	}
	c.QPS, c.Burst = 1000, 1000
	c.ContentType = content
	if content == asProtobuf {
		c.AcceptContentTypes = asProtobuf + "," + asJSON
	}
	return c
}

func job(name, script string) *batchv1.Job {
	return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"set": "cg"}}, Spec: batchv1.JobSpec{
		BackoffLimit: ptr.To[int32](0),
		Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever,
			Containers: []corev1.Container{{Name: "main", Image: "host", Command: []string{"sh", "-c", script}}}}}}}
}

func finished(j *batchv1.Job) bool {
	for _, c := range j.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

func main() {
	ctx := context.Background()
	switch os.Args[1] {
	case "basics":
		basics(ctx, asJSON, "go-json")
		basics(ctx, asProtobuf, "go-protobuf")
		basics(ctx, asCBOR, "go-cbor")
	case "elect":
		elect(ctx, "go-elect")
	case "informers":
		runInformers(ctx, os.Args[2])
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}
