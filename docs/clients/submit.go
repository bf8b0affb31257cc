// Submits a Job over NATS, follows it to its end, and prints what its pods wrote.
//
//	go mod init submit && go get github.com/nats-io/nats.go
//	NATS_URL=nats://127.0.0.1:4222 go run submit.go [NAME [NAMESPACE]]
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

const silence = 20 * time.Second // A stream says something every five seconds.

type object struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Status struct {
		Active     int `json:"active"`
		Succeeded  int `json:"succeeded"`
		Failed     int `json:"failed"`
		Conditions []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		} `json:"conditions"`
	} `json:"status"`
}

type client struct {
	nc        *nats.Conn
	namespace string
}

func (c client) message(what string, body []byte, options map[string]string) *nats.Msg {
	msg := nats.NewMsg("stint.v1." + c.namespace + "." + what)
	msg.Data = body
	for key, value := range options {
		msg.Header.Set(key, value)
	}
	return msg
}

// failure reads what an answer says that is an error: a Status, with its code in a header.
func failure(answer *nats.Msg) (int, error) {
	code := answer.Header.Get("Nats-Service-Error-Code")
	if code == "" {
		return 200, nil
	}
	var status struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &status); err != nil {
		return 0, err
	}
	number, err := strconv.Atoi(code)
	if err != nil {
		return 0, err
	}
	return number, errors.New(code + ": " + status.Message)
}

// stream hands on the messages of a watch or a log until its end, or until next says to stop.
func (c client) stream(what string, options map[string]string, next func([]byte) (bool, error)) error {
	inbox := c.nc.NewInbox()
	messages, err := c.nc.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer messages.Unsubscribe()
	request := c.message(what, nil, options)
	request.Reply = inbox
	if err := c.nc.PublishMsg(request); err != nil {
		return err
	}
	for {
		message, err := messages.NextMsg(silence)
		if err != nil {
			return err
		}
		if _, err := failure(message); err != nil {
			return err
		}
		if message.Header.Get("Stint-End") != "" {
			return nil
		}
		if message.Header.Get("Stint-Heartbeat") != "" {
			continue
		}
		if stop, err := next(message.Data); stop || err != nil {
			return err
		}
	}
}

// outcome watches the Job until it is Complete or has Failed, whatever becomes of single watches.
func (c client) outcome(name string) string {
	end := ""
	see := func(data []byte) (bool, error) {
		var event struct {
			Type   string `json:"type"`
			Object object `json:"object"`
		}
		if err := json.Unmarshal(data, &event); err != nil {
			return false, err
		}
		status := event.Object.Status
		fmt.Println(event.Type, "active", status.Active, "succeeded", status.Succeeded, "failed", status.Failed)
		if event.Type == "DELETED" {
			end = "Deleted"
		}
		for _, condition := range status.Conditions {
			if condition.Status == "True" && (condition.Type == "Complete" || condition.Type == "Failed") {
				end = condition.Type
			}
		}
		return end != "", nil
	}
	for end == "" {
		err := c.stream("jobs.watch", map[string]string{"fieldSelector": "metadata.name=" + name}, see)
		if err != nil {
			fmt.Fprintln(os.Stderr, "the watch begins again:", err)
			time.Sleep(time.Second)
		}
	}
	return end
}

func run(name, namespace string) (string, error) {
	url := os.Getenv("NATS_URL")
	if url == "" {
		url = nats.DefaultURL
	}
	nc, err := nats.Connect(url)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	c := client{nc, namespace}
	job, err := json.Marshal(map[string]any{
		"apiVersion": "batch/v1",
		"kind":       "Job",
		"metadata":   map[string]any{"name": name},
		"spec": map[string]any{
			"completionMode": "Indexed",
			"completions":    3,
			"parallelism":    3,
			"template": map[string]any{"spec": map[string]any{
				"restartPolicy": "Never",
				"containers": []any{map[string]any{
					"name":    "main",
					"image":   "host",
					"command": []string{"sh", "-c", "echo index $JOB_COMPLETION_INDEX of Go"},
				}},
			}},
		},
	})
	if err != nil {
		return "", err
	}
	answer, err := nc.RequestMsg(c.message("jobs.create", job, nil), 10*time.Second)
	if err != nil {
		return "", err
	}
	// A name is given once. So who asked, and heard no answer, may just ask again.
	if code, err := failure(answer); err != nil && code != 409 {
		return "", err
	}
	end := c.outcome(name)
	selector := map[string]string{"labelSelector": "job-name=" + name}
	answer, err = nc.RequestMsg(c.message("pods.list", nil, selector), 10*time.Second)
	if err != nil {
		return "", err
	}
	var pods struct {
		Items []object `json:"items"`
	}
	if err := json.Unmarshal(answer.Data, &pods); err != nil {
		return "", err
	}
	for _, pod := range pods.Items {
		err := c.stream("pods/log.get."+pod.Metadata.Name, nil, func(piece []byte) (bool, error) {
			_, err := os.Stdout.Write(piece)
			return false, err
		})
		if err != nil {
			return "", err
		}
	}
	return end, nil
}

func main() {
	name, namespace := "from-go", "default"
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	if len(os.Args) > 2 {
		namespace = os.Args[2]
	}
	end, err := run(name, namespace)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error", err)
		os.Exit(1)
	}
	fmt.Println(end)
	if end != "Complete" {
		os.Exit(1)
	}
}
