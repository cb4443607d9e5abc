// Gets a URL with net/http, which takes the proxy and the certificates from the environment; as often as
// the second argument says, ten at a time, each over a connection of its own.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
)

func get(url string) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport}).Get(url)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer response.Body.Close()
	io.Copy(os.Stdout, response.Body)
}

func main() {
	count := 1
	if len(os.Args) > 2 {
		count, _ = strconv.Atoi(os.Args[2])
	}
	turns := make(chan bool, 10)
	var all sync.WaitGroup
	for i := 0; i < count; i++ {
		all.Add(1)
		turns <- true
		go func() {
			get(os.Args[1])
			<-turns
			all.Done()
		}()
	}
	all.Wait()
}
