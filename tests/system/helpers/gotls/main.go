// usage: gotls PROXY HOST:PORT NAME: a tunnel to HOST:PORT, TLS with NAME in it, and GET /hello.
package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

func get(proxy, target, name string) error {
	connection, err := net.Dial("tcp", proxy)
	if err != nil {
		return err
	}
	defer connection.Close()
	fmt.Fprintf(connection, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target)
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return err
	}
	if response.StatusCode != 200 {
		return fmt.Errorf("%s", response.Status)
	}
	secure := tls.Client(connection, &tls.Config{ServerName: name})
	if _, err := fmt.Fprint(secure, "GET /hello HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	_, err = io.Copy(os.Stdout, secure)
	return err
}

func main() {
	if err := get(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
