# A session is an environment, since each update moves its step on.
new_session <- function(client, info) {
  session <- new.env(parent = emptyenv())
  session$client <- client
  session$id <- info$id
  session$path <- paste0("/v1/sessions/", segment(info$id))
  session$coordinates <- info$coordinates
  take(session, info)
  structure(session, class = "descent_session")
}

take <- function(session, info) {
  session$step <- info$step
  session$replayed <- FALSE
  invisible(session)
}

print.descent_session <- function(x, ...) {
  cat(sprintf("<descent session %s: %d coordinates, step %d>\n", x$id, x$coordinates, x$step))
  invisible(x)
}

descent_session <- function(client, optimizer, coordinates = NULL, layout = NULL, ...) {
  body <- list(optimizer = optimizer, ...)
  if (!is.null(coordinates)) body$coordinates <- as.integer(coordinates)
  if (!is.null(layout)) body$layout <- lapply(layout, function(entry) {
    entry$shape <- I(as.integer(entry$shape))
    entry
  })
  new_session(client, call_json(client, "POST", "/v1/sessions", body, create = TRUE))
}

descent_resume <- function(client, id) {
  new_session(client, call_json(client, "GET", paste0("/v1/sessions/", segment(id))))
}

descent_update <- function(session, gradient, loss = NULL) {
  if (length(gradient) != session$coordinates) {
    stop(sprintf("the gradient has %d numbers, the session %d coordinates", length(gradient), session$coordinates))
  }
  headers <- list("Content-Type" = "application/octet-stream", "Descent-Step" = sprintf("%.0f", session$step))
  if (!is.null(loss)) headers[["Descent-Loss"]] <- sprintf("%.17g", loss)
  wire <- writeBin(as.double(gradient), raw(), size = 4, endian = "little")
  answer <- send(session$client, "POST", paste0(session$path, "/update"), wire, headers)
  step <- as.numeric(answer$headers[["descent-step"]])
  if (length(step) != 1 || length(answer$content) != 4 * session$coordinates) {
    fail("descent_invalid_answer", sprintf("the answer is no update: %d bytes", length(answer$content)))
  }
  session$step <- step
  session$replayed <- identical(answer$headers[["descent-replayed"]], "true")
  update <- readBin(answer$content, "numeric", session$coordinates, size = 4, endian = "little")
  attributes(update) <- attributes(gradient)
  update
}

descent_session_info <- function(session) call_json(session$client, "GET", session$path)

descent_reset <- function(session) {
  take(session, call_json(session$client, "POST", paste0(session$path, "/reset")))
}

descent_checkpoint <- function(session, name) {
  invisible(call_json(session$client, "POST", paste0(session$path, "/checkpoints"), list(name = name), create = TRUE))
}

descent_delete_checkpoint <- function(session, name) {
  invisible(call_json(session$client, "DELETE", paste0(session$path, "/checkpoints/", segment(name))))
}

descent_restore <- function(session, checkpoint) {
  take(session, call_json(session$client, "POST", paste0(session$path, "/restore"), list(checkpoint = checkpoint)))
}

descent_fork <- function(session, checkpoint = NULL) {
  body <- if (is.null(checkpoint)) list() else list(checkpoint = checkpoint)
  new_session(session$client, call_json(session$client, "POST", paste0(session$path, "/fork"), body, create = TRUE))
}

descent_state <- function(session) send(session$client, "GET", paste0(session$path, "/state"))$content

descent_load_state <- function(session, state) {
  send(session$client, "PUT", paste0(session$path, "/state"), state, list("Content-Type" = "application/x-safetensors"))
  take(session, descent_session_info(session))
}

descent_history <- function(session, max_points = 500) {
  call_json(session$client, "GET", sprintf("%s/history?max_points=%d", session$path, as.integer(max_points)))
}

descent_delete <- function(session) invisible(call_json(session$client, "DELETE", session$path))

descent_minimize <- function(par, fn, gr, optimizer = "adam", steps = 100, client = descent_client(), ...) {
  session <- descent_session(client, optimizer, coordinates = length(par), durability = "memory")
  on.exit(descent_delete(session))
  best <- list(par = par, value = fn(par, ...))
  for (step in seq_len(steps)) {
    par <- par + descent_update(session, gr(par, ...))
    value <- fn(par, ...)
    if (!is.finite(value)) break
    if (value < best$value) best <- list(par = par, value = value)
  }
  c(best, counts = session$step)
}
