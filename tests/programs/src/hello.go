package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

func work(n int, out chan<- int) {
	sum := 0
	for i := 0; i < 100000; i++ {
		sum += i % (n + 1)
	}
	time.Sleep(time.Millisecond)
	out <- sum
}

func main() {
	out := make(chan int)
	for n := 0; n < 50; n++ {
		go work(n, out)
	}
	total := 0
	for n := 0; n < 50; n++ {
		total += <-out
	}
	var mutex sync.Mutex
	var group sync.WaitGroup
	count := 0
	for i := 0; i < 100; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			runtime.Gosched()
			mutex.Lock()
			count++
			mutex.Unlock()
		}()
	}
	group.Wait()
	garbage := 0
	for i := 0; i < 2000; i++ {
		garbage += len(make([]byte, 10000))
	}
	runtime.GC()
	defer func() {
		if problem := recover(); problem != nil {
			fmt.Println("recovered:", problem)
			os.Exit(0)
		}
	}()
	fmt.Printf("hello from Go: total %d, count %d, garbage %d\n", total, count, garbage)
	fmt.Printf("%x\n", sha256.Sum256([]byte("kiln")))
	select {
	case <-time.After(5 * time.Millisecond):
		fmt.Println("timer")
	}
	var nothing *int
	fmt.Println(*nothing)
}
