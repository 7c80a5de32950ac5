package evidence

// RefusedForRoom is for tests.
var RefusedForRoom = refusedForRoom
