package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"
	applybatch "k8s.io/client-go/applyconfigurations/batch/v1"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/tools/remotecommand"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"
)

// basics: what a client does with Jobs and pods, in bodies of one type.
func basics(ctx context.Context, content, ns string) {
	fmt.Println("#", content)
	cfg := config(content)
	c := kubernetes.NewForConfigOrDie(cfg)
	_, err := c.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{})
	check("create namespace", err)
	jobs := c.BatchV1().Jobs(ns)
	made, err := jobs.Create(ctx, job("one", "echo hello; sleep 1; echo bye"), metav1.CreateOptions{})
	if !check("create", err) {
		return
	}
	want("create gives TypeMeta-less object with uid", made.UID != "" && made.ResourceVersion != "")
	_, err = jobs.Create(ctx, job("one", "true"), metav1.CreateOptions{})
	want("a second is AlreadyExists", apierrors.IsAlreadyExists(err), err)
	_, err = jobs.Create(ctx, &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "bad"}}, metav1.CreateOptions{})
	want("an invalid one is Invalid with causes", apierrors.IsInvalid(err) && len(err.(*apierrors.StatusError).ErrStatus.Details.Causes) > 0, err)
	_, err = jobs.Get(ctx, "nope", metav1.GetOptions{})
	want("get of none is NotFound", apierrors.IsNotFound(err), err)
	_, err = jobs.Create(ctx, job("dry", "true"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: "cg"})
	check("dry run", err)

	// UntilWithSync until complete.
	lw := cache.NewListWatchFromClient(c.BatchV1().RESTClient(), "jobs", ns, fields.OneTermEqualSelector("metadata.name", "one"))
	tctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	_, err = watchtools.UntilWithSync(tctx, lw, &batchv1.Job{}, nil, func(e watch.Event) (bool, error) {
		j, ok := e.Object.(*batchv1.Job)
		return ok && finished(j), nil
	})
	cancel()
	check("UntilWithSync", err)
	lw2 := cache.NewListWatchFromClient(c.CoreV1().RESTClient(), "pods", ns, fields.Everything())
	tctx, cancel = context.WithTimeout(ctx, 30*time.Second)
	_, err = watchtools.UntilWithSync(tctx, lw2, &corev1.Pod{}, nil, func(e watch.Event) (bool, error) {
		p, ok := e.Object.(*corev1.Pod)
		return ok && p.Status.Phase == corev1.PodSucceeded, nil
	})
	cancel()
	check("ListWatchUntil pods", err)

	pods, err := c.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: "job-name=one"})
	check("list pods", err)
	want("one pod", len(pods.Items) == 1, len(pods.Items))
	pod := pods.Items[0].Name
	raw, err := c.CoreV1().Pods(ns).GetLogs(pod, &corev1.PodLogOptions{}).DoRaw(ctx)
	want("logs", err == nil && string(raw) == "hello\nbye\n", string(raw), err)
	raw, err = c.CoreV1().Pods(ns).GetLogs(pod, &corev1.PodLogOptions{TailLines: ptr.To[int64](1), Timestamps: true}).DoRaw(ctx)
	want("logs tail", err == nil && strings.HasSuffix(string(raw), " bye\n"), string(raw), err)

	// Follow.
	_, err = jobs.Create(ctx, job("slow", "for i in 1 2 3; do echo $i; sleep 0.4; done"), metav1.CreateOptions{})
	check("create slow", err)
	var slow string
	err = wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		pods, err := c.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: "batch.kubernetes.io/job-name=slow"})
		if err != nil || len(pods.Items) == 0 {
			return false, err
		}
		slow = pods.Items[0].Name
		return true, nil
	})
	check("wait.Poll", err)
	stream, err := c.CoreV1().Pods(ns).GetLogs(slow, &corev1.PodLogOptions{Follow: true}).Stream(ctx)
	if check("follow", err) {
		var lines []string
		s := bufio.NewScanner(stream)
		for s.Scan() {
			lines = append(lines, s.Text())
		}
		want("followed lines", strings.Join(lines, ",") == "1,2,3", lines)
		stream.Close()
	}

	// Conflicts: two clients increment.
	c2 := kubernetes.NewForConfigOrDie(config(asJSON))
	_, err = jobs.Create(ctx, func() *batchv1.Job { j := job("count", "true"); j.Spec.Suspend = ptr.To(true); return j }(), metav1.CreateOptions{})
	check("create count", err)
	var wg sync.WaitGroup
	var lost atomic.Int32
	for _, cl := range []*kubernetes.Clientset{c, c2} {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; i < 25; i++ {
				err := retry.RetryOnConflict(wait.Backoff{Steps: 200, Duration: time.Millisecond, Factor: 1, Jitter: 1}, func() error {
					j, err := cl.BatchV1().Jobs(ns).Get(ctx, "count", metav1.GetOptions{})
					if err != nil {
						return err
					}
					var n int
					fmt.Sscan(j.Annotations["n"], &n)
					if j.Annotations == nil {
						j.Annotations = map[string]string{}
					}
					j.Annotations["n"] = fmt.Sprint(n + 1)
					_, err = cl.BatchV1().Jobs(ns).Update(ctx, j, metav1.UpdateOptions{})
					return err
				})
				if err != nil {
					lost.Add(1)
					fmt.Println(err)
				}
			}
		}()
	}
	wg.Wait()
	j, err := jobs.Get(ctx, "count", metav1.GetOptions{})
	want("50 increments by two clients", err == nil && lost.Load() == 0 && j.Annotations["n"] == "50", err, lost.Load(), j.Annotations)

	// Patches.
	_, err = jobs.Patch(ctx, "count", types.StrategicMergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{})
	check("strategic patch", err)
	_, err = jobs.Patch(ctx, "count", types.MergePatchType, []byte(`{"spec":{"parallelism":3}}`), metav1.PatchOptions{})
	check("merge patch", err)
	_, err = jobs.Patch(ctx, "count", types.JSONPatchType, []byte(`[{"op":"remove","path":"/metadata/labels/a"}]`), metav1.PatchOptions{})
	check("json patch", err)

	// Server-side apply with generated configurations.
	conf := applybatch.Job("applied", ns).WithLabels(map[string]string{"x": "1"}).WithSpec(applybatch.JobSpec().WithSuspend(true).
		WithTemplate(applycore.PodTemplateSpec().WithSpec(applycore.PodSpec().WithRestartPolicy(corev1.RestartPolicyNever).
			WithContainers(applycore.Container().WithName("main").WithImage("host").WithCommand("true")))))
	applied, err := jobs.Apply(ctx, conf, metav1.ApplyOptions{FieldManager: "one"})
	check("apply", err)
	conf2 := applybatch.Job("applied", ns).WithLabels(map[string]string{"x": "2"})
	_, err = jobs.Apply(ctx, conf2, metav1.ApplyOptions{FieldManager: "two"})
	want("apply conflicts", apierrors.IsConflict(err), err)
	_, err = jobs.Apply(ctx, conf2, metav1.ApplyOptions{FieldManager: "two", Force: true})
	check("apply force", err)
	if err == nil {
		extracted, err := applybatch.ExtractJob(applied, "one")
		want("ExtractJob", err == nil && extracted.Labels["x"] == "1" && *extracted.Spec.Suspend, err)
	}
	cm := applycore.ConfigMap("c", ns).WithData(map[string]string{"k": "v"})
	_, err = c.CoreV1().ConfigMaps(ns).Apply(ctx, cm, metav1.ApplyOptions{FieldManager: "one"})
	check("apply ConfigMap", err)

	// Discovery and RESTMapper, dynamic.
	dc := discovery.NewDiscoveryClientForConfigOrDie(cfg)
	_, lists, err := dc.ServerGroupsAndResources()
	want("discovery", err == nil && len(lists) >= 4, err, len(lists))
	_, err = dc.ServerVersion()
	check("version", err)
	_, err = dc.OpenAPISchema()
	want("openapi v2, which is there as JSON alone", apierrors.IsNotAcceptable(err), err)
	paths, err := dc.OpenAPIV3().Paths()
	check("openapi v3", err)
	for _, p := range []string{"apis/batch/v1", "api/v1"} {
		if gv, ok := paths[p]; ok {
			_, err = gv.Schema("application/json")
			check("openapi v3 "+p, err)
		} else {
			check("openapi v3 "+p, errors.New("not there"))
		}
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(dc))
	m, err := mapper.RESTMapping(schema.GroupKind{Group: "batch", Kind: "Job"})
	if check("RESTMapping", err) {
		dyn := dynamic.NewForConfigOrDie(cfg)
		r := dyn.Resource(m.Resource).Namespace(ns)
		u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "batch/v1", "kind": "Job", "metadata": map[string]any{"name": "dyn"},
			"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"restartPolicy": "Never",
				"containers": []any{map[string]any{"name": "m", "image": "host", "command": []any{"true"}}}}}}}}
		_, err = r.Create(ctx, u, metav1.CreateOptions{})
		check("dynamic create", err)
		err = wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
			got, err := r.Get(ctx, "dyn", metav1.GetOptions{})
			if err != nil {
				return false, err
			}
			n, _, _ := unstructured.NestedInt64(got.Object, "status", "succeeded")
			return n == 1, nil
		})
		check("dynamic get", err)
		_, err = r.Patch(ctx, "dyn", types.ApplyPatchType, []byte(`{"apiVersion":"batch/v1","kind":"Job","metadata":{"labels":{"q":"1"}}}`), metav1.PatchOptions{FieldManager: "dyn"})
		check("dynamic apply patch", err)
		md := metadata.NewForConfigOrDie(cfg)
		ml, err := md.Resource(m.Resource).Namespace(ns).List(ctx, metav1.ListOptions{})
		want("metadata client list", err == nil && len(ml.Items) >= 4, err)
		df := dynamicinformer.NewFilteredDynamicSharedInformerFactory(dyn, 0, ns, nil)
		inf := df.ForResource(m.Resource).Informer()
		stop := make(chan struct{})
		df.Start(stop)
		sctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		want("dynamic informer syncs", cache.WaitForCacheSync(sctx.Done(), inf.HasSynced))
		cancel()
		close(stop)
	}
	_, err = mapper.RESTMapping(schema.GroupKind{Group: "apps", Kind: "Deployment"})
	want("Deployment is no match", meta.IsNoMatchError(err), err)

	// Pager.
	n := 0
	p := pager.New(pager.SimplePageFunc(func(o metav1.ListOptions) (runtime.Object, error) { return jobs.List(ctx, o) }))
	p.PageSize = 2
	err = p.EachListItem(ctx, metav1.ListOptions{}, func(runtime.Object) error { n++; return nil })
	want("pager", err == nil && n == 5, err, n)

	// Eviction, scale, exec.
	_, err = jobs.Create(ctx, func() *batchv1.Job { j := job("long", "sleep 600"); j.Spec.BackoffLimit = ptr.To[int32](3); return j }(), metav1.CreateOptions{})
	check("create long", err)
	var long corev1.Pod
	err = wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		pods, err := c.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: "job-name=long", FieldSelector: "status.phase=Running"})
		if err != nil || len(pods.Items) == 0 {
			return false, err
		}
		long = pods.Items[0]
		return true, nil
	})
	check("long runs", err)
	err = c.CoreV1().Pods(ns).EvictV1(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: long.Name, Namespace: ns}, DeleteOptions: &metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](1)}})
	check("evict", err)
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 15*time.Second, true, func(ctx context.Context) (bool, error) {
		_, err := c.CoreV1().Pods(ns).Get(ctx, long.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
	check("evicted pod goes", err)
	req := c.CoreV1().RESTClient().Post().Resource("pods").Namespace(ns).Name(pod).SubResource("exec").VersionedParams(&corev1.PodExecOptions{Command: []string{"ls"}, Stdout: true}, scheme.ParameterCodec)
	ex, err := remotecommand.NewSPDYExecutor(cfg, "POST", req.URL())
	if err == nil {
		err = ex.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &bytes.Buffer{}})
	}
	says("exec (SPDY)", err)
	wsx, err := remotecommand.NewWebSocketExecutor(cfg, "GET", req.URL().String())
	if err == nil {
		err = wsx.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &bytes.Buffer{}})
	}
	says("exec (WebSocket)", err)
	_, err = c.CoreV1().Pods(ns).Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "bare"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "host"}}}}, metav1.CreateOptions{})
	says("a bare pod", err)
	err = c.BatchV1().RESTClient().Get().Resource("jobs").Namespace(ns).Name("long").SubResource("scale").Do(ctx).Error()
	says("scale", err)
	_, err = c.AppsV1().Deployments(ns).List(ctx, metav1.ListOptions{})
	want("Deployments: NotFound", apierrors.IsNotFound(err), err)

	// Events by a recorder.
	b := record.NewBroadcaster()
	b.StartRecordingToSink(&typedEvents{c, ns})
	rec := b.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "cg"})
	long2, _ := jobs.Get(ctx, "long", metav1.GetOptions{})
	for i := 0; i < 3; i++ {
		rec.Event(long2, "Normal", "Tried", "said by client-go")
	}
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		l, err := c.CoreV1().Events(ns).Search(scheme.Scheme, long2)
		if err != nil {
			return false, err
		}
		for _, e := range l.Items {
			if e.Reason == "Tried" && e.Count >= 2 {
				return true, nil
			}
		}
		return false, nil
	})
	check("recorder (create, then patch of the count)", err)
	b.Shutdown()

	// cli-runtime.
	flags := genericclioptions.NewConfigFlags(true)
	flags.KubeConfig = ptr.To(os.Getenv("KUBECONFIG"))
	infos, err := resource.NewBuilder(flags).WithScheme(scheme.Scheme, scheme.Scheme.PrioritizedVersionsAllGroups()...).NamespaceParam(ns).ContinueOnError().ResourceTypeOrNameArgs(true, "jobs,pods,cm").Flatten().Do().Infos()
	want("cli-runtime's builder", err == nil && len(infos) > 5, err, len(infos))

	err = jobs.DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationForeground)}, metav1.ListOptions{LabelSelector: "set=cg"})
	check("deletecollection", err)
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 40*time.Second, true, func(ctx context.Context) (bool, error) {
		l, err := jobs.List(ctx, metav1.ListOptions{LabelSelector: "set=cg"})
		return err == nil && len(l.Items) == 0, err
	})
	check("all gone", err)
	check("delete namespace", c.CoreV1().Namespaces().Delete(ctx, ns, metav1.DeleteOptions{}))
}

type typedEvents struct {
	c  *kubernetes.Clientset
	ns string
}

func (t *typedEvents) Create(e *corev1.Event) (*corev1.Event, error) {
	return t.c.CoreV1().Events(t.ns).CreateWithEventNamespaceWithContext(context.Background(), e)
}
func (t *typedEvents) Update(e *corev1.Event) (*corev1.Event, error) {
	return t.c.CoreV1().Events(t.ns).UpdateWithEventNamespaceWithContext(context.Background(), e)
}
func (t *typedEvents) Patch(e *corev1.Event, data []byte) (*corev1.Event, error) {
	return t.c.CoreV1().Events(t.ns).PatchWithEventNamespaceWithContext(context.Background(), e, data)
}

// says checks that what is not offered is refused in Stint's own words.
func says(what string, err error) {
	want(what+" says what to do instead", err != nil && strings.Contains(err.Error(), "is not supported by Stint"), err)
}
