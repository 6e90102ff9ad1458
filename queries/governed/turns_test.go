package governed

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"
)

// Who waits with many statements delays nobody else by more than one of them, also where one runs at a time.
func TestTurnsGoAround(t *testing.T) {
	for _, most := range []int{1, 2} {
		turns := newTurns(&Limits{Waiting: 50, Wait: time.Minute}, most, 1)
		var leaves []func()
		for _, who := range []string{"many", "other"}[:most] {
			leave, err := turns.take(context.Background(), who)
			if err != nil {
				t.Fatal(err)
			}
			leaves = append(leaves, leave)
		}
		type turnOf struct {
			who   string
			leave func()
		}
		called := make(chan turnOf)
		for i, who := range []string{"many", "many", "many", "few", "many", "few", "fewer"} {
			go func() {
				leave, err := turns.take(context.Background(), who)
				if err != nil {
					t.Error(err)
				}
				called <- turnOf{who, leave}
			}()
			for waiting := 0; waiting <= i; runtime.Gosched() { // in this order
				turns.mu.Lock()
				waiting = len(turns.queue)
				turns.mu.Unlock()
			}
		}
		leaves[0]()
		var order []string
		for range 7 {
			next := <-called
			order = append(order, next.who)
			next.leave()
		}
		if want := []string{"few", "fewer", "many", "few", "many", "many", "many"}; !slices.Equal(order, want) {
			t.Errorf("%d at once: %v, want %v", most, order, want)
		}
		for _, leave := range leaves[1:] {
			leave()
		}
		if turns.running != 0 || len(turns.of) != 0 || len(turns.called) != 0 {
			t.Errorf("afterwards: %d running, %v, %v", turns.running, turns.of, turns.called)
		}
	}
}
