# The parts that need no server.

library(descent)

seen <- list()
reader <- descent:::event_reader(function(event) seen <<- c(seen, list(event)))
over <- tryCatch({
  for (piece in c("id: 1\nevent: pro", "gress\ndata: {\"a\":\ndata: 1}\n\n", "id: 2\r\nevent: done\r\ndata: {}\r\n\r\n")) {
    reader$bytes(charToRaw(piece))
  }
  FALSE
}, descent_events_over = function(c) TRUE)
stopifnot(over, length(seen) == 2, seen[[1]]$kind == "progress", seen[[1]]$data$a == 1, seen[[2]]$id == "2")

stopifnot(nchar(descent:::fresh_key()) == 32, descent:::fresh_key() != descent:::fresh_key())

client <- descent_client("http://127.0.0.1:9", timeout_seconds = 1, attempts = 2)
stopifnot(inherits(try(descent_info(client), silent = TRUE), "try-error"))
