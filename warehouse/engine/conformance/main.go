package main

import (
	"context"
	"fmt"
	"ombor/warehouse/engine"
	"os"
	"os/signal"
)

func main() {
	engine.RunChildIfAsked()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	d, _ := os.MkdirTemp("", "conf")
	p, err := engine.Start(ctx, engine.Config{Path: d, Listen: "127.0.0.1:18123"})
	fmt.Println(err)
	if err != nil {
		return
	}
	fmt.Println(p.State())
	<-ctx.Done()
	p.Close()
}
