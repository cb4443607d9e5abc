// usage: gosite ADDRESS LOG: a server of net/http that writes a line for each request: method, host, target.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
)

func main() {
	file, err := os.OpenFile(os.Args[2], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	var lock sync.Mutex
	handler := func(w http.ResponseWriter, r *http.Request) {
		lock.Lock()
		fmt.Fprintf(file, "%s %s %s\n", r.Method, r.Host, r.RequestURI)
		lock.Unlock()
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "ok")
	}
	log.Fatal(http.ListenAndServe(os.Args[1], http.HandlerFunc(handler)))
}
