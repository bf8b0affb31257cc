package main

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

// runInformers looks at Jobs and pods of a namespace in which it works, while somebody kills the coordinator. What informers
// were told must add up to what lists have in the end.
func runInformers(ctx context.Context, ns string) {
	c := kubernetes.NewForConfigOrDie(config(asProtobuf))
	f := informers.NewSharedInformerFactoryWithOptions(c, 0, informers.WithNamespace(ns))
	var mu sync.Mutex
	added, updated, deleted := map[string]int{}, 0, map[string]int{}
	watchErrors := 0
	back := 0
	last := map[string]uint64{}
	h := func(kind string) cache.ResourceEventHandlerFuncs {
		seen := func(o any) {
			a, _ := meta.Accessor(o)
			var rv uint64
			fmt.Sscan(a.GetResourceVersion(), &rv)
			k := kind + "/" + a.GetName()
			if rv < last[k] {
				back++
				fmt.Println("resourceVersion went back", k, last[k], rv)
			}
			last[k] = rv
		}
		return cache.ResourceEventHandlerFuncs{
			AddFunc: func(o any) {
				mu.Lock()
				defer mu.Unlock()
				a, _ := meta.Accessor(o)
				added[kind+"/"+a.GetName()]++
				seen(o)
			},
			UpdateFunc: func(_, o any) { mu.Lock(); defer mu.Unlock(); updated++; seen(o) },
			DeleteFunc: func(o any) {
				mu.Lock()
				defer mu.Unlock()
				k, _ := cache.DeletionHandlingMetaNamespaceKeyFunc(o)
				deleted[kind+"/"+strings.SplitN(k, "/", 2)[1]]++
			},
		}
	}
	ji, pi := f.Batch().V1().Jobs(), f.Core().V1().Pods()
	for _, i := range []cache.SharedIndexInformer{ji.Informer(), pi.Informer()} {
		i.SetWatchErrorHandler(func(_ *cache.Reflector, err error) { mu.Lock(); watchErrors++; mu.Unlock() })
	}
	ji.Informer().AddEventHandler(h("job"))
	pi.Informer().AddEventHandler(h("pod"))
	stop := make(chan struct{})
	f.Start(stop)
	f.WaitForCacheSync(stop)
	fmt.Println("synced")
	w := kubernetes.NewForConfigOrDie(config(asJSON))
	retrying := func(what string, do func() error) {
		end := time.Now().Add(30 * time.Second)
		for {
			err := do()
			if err == nil {
				return
			}
			if apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
				return
			}
			if time.Now().After(end) {
				check(what, err)
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	const N = 60
	for i := 0; i < N; i++ {
		name := fmt.Sprintf("j%03d", i)
		j := job(name, "exit $(( ${JOB_COMPLETION_INDEX} % 2 * 0 ))")
		j.Spec.CompletionMode = ptr.To(batchv1.IndexedCompletion)
		j.Spec.Completions, j.Spec.Parallelism = ptr.To[int32](3), ptr.To[int32](3)
		retrying("create "+name, func() error { _, err := w.BatchV1().Jobs(ns).Create(ctx, j, metav1.CreateOptions{}); return err })
		if i%3 == 2 {
			old := fmt.Sprintf("j%03d", i-2)
			retrying("delete "+old, func() error {
				return w.BatchV1().Jobs(ns).Delete(ctx, old, metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)})
			})
		}
		time.Sleep(200 * time.Millisecond)
	}
	converged := func() string {
		jl, err := w.BatchV1().Jobs(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		pl, err := w.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		var a, b []string
		for _, j := range jl.Items {
			if !finished(&j) {
				return "running " + j.Name
			}
			a = append(a, fmt.Sprint("job/", j.Name, j.UID, j.Status.Succeeded, j.Status.Failed, len(j.Status.Conditions)))
		}
		for _, p := range pl.Items {
			a = append(a, fmt.Sprint("pod/", p.Name, p.UID, p.Status.Phase))
		}
		for _, o := range ji.Informer().GetStore().List() {
			j := o.(*batchv1.Job)
			b = append(b, fmt.Sprint("job/", j.Name, j.UID, j.Status.Succeeded, j.Status.Failed, len(j.Status.Conditions)))
		}
		for _, o := range pi.Informer().GetStore().List() {
			p := o.(*corev1.Pod)
			b = append(b, fmt.Sprint("pod/", p.Name, p.UID, p.Status.Phase))
		}
		sort.Strings(a)
		sort.Strings(b)
		if strings.Join(a, "\n") != strings.Join(b, "\n") {
			return fmt.Sprintf("lists have %d, informers %d", len(a), len(b))
		}
		return ""
	}
	why := "?"
	end := time.Now().Add(40 * time.Second)
	for why != "" && time.Now().Before(end) {
		time.Sleep(200 * time.Millisecond)
		why = converged()
	}
	want("informers have what lists have", why == "", why)
	mu.Lock()
	defer mu.Unlock()
	jobsSeen, podsSeen, jobsGone := 0, 0, 0
	there := map[string]bool{}
	for _, o := range ji.Informer().GetStore().List() {
		there["job/"+o.(*batchv1.Job).Name] = true
	}
	untold := 0
	for k := range added {
		if strings.HasPrefix(k, "job/") && !there[k] && deleted[k] == 0 {
			untold++
		}
	}
	for k := range added {
		if strings.HasPrefix(k, "job/") {
			jobsSeen++
		} else {
			podsSeen++
		}
	}
	for k := range deleted {
		if strings.HasPrefix(k, "job/") {
			jobsGone++
		}
	}
	fmt.Printf("     jobs added %d of %d, deleted %d of %d, pods added %d, updates %d, watch errors %d\n", jobsSeen, N, jobsGone, N/3, podsSeen, updated, watchErrors)
	want("no resourceVersion went back", back == 0, back)
	want("every Job that was seen and is gone was told as deleted", untold == 0, untold)
}
