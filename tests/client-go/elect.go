package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/ptr"
)

// elect has two candidates lead, one after the other: by a Lease.
func elect(ctx context.Context, ns string) {
	c := kubernetes.NewForConfigOrDie(config(asProtobuf))
	var leaders atomic.Int32
	var log sync.Mutex
	var order []string
	var wg sync.WaitGroup
	for _, id := range []string{"a", "b"} {
		lock, err := resourcelock.New(resourcelock.LeasesResourceLock, ns, "lock", c.CoreV1(), c.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: id})
		if !check("new lock", err) {
			return
		}
		cctx, cancel := context.WithTimeout(ctx, 40*time.Second)
		wg.Add(1)
		go func() {
			defer wg.Done()
			leaderelection.RunOrDie(cctx, leaderelection.LeaderElectionConfig{Lock: lock, ReleaseOnCancel: id == "a", LeaseDuration: 4 * time.Second, RenewDeadline: 3 * time.Second, RetryPeriod: 500 * time.Millisecond, Name: id,
				Callbacks: leaderelection.LeaderCallbacks{
					OnStartedLeading: func(ctx context.Context) {
						log.Lock()
						order = append(order, id)
						log.Unlock()
						if leaders.Add(1) != 1 {
							check("one leader", errors.New("two"))
						}
						fmt.Println("     leads:", id, time.Now().Format("05.000"))
						time.Sleep(3 * time.Second)
						leaders.Add(-1)
						cancel()
					},
					OnStoppedLeading: func() {},
					OnNewLeader:      func(l string) { fmt.Println("     ", id, "sees leader", l) },
				}})
		}()
	}
	wg.Wait()
	want("both led, one after the other", len(order) == 2, order)
	l, err := c.CoordinationV1().Leases(ns).Get(ctx, "lock", metav1.GetOptions{})
	if check("get lease", err) {
		fmt.Printf("     lease: holder %q, transitions %d\n", ptr.Deref(l.Spec.HolderIdentity, ""), ptr.Deref(l.Spec.LeaseTransitions, -1))
	}
}
