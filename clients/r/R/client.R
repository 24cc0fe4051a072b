environment_or <- function(name, otherwise) {
  text <- Sys.getenv(name)
  if (nzchar(text)) text else otherwise
}

key_from_environment <- function() {
  file <- Sys.getenv("DESCENT_API_KEY_FILE")
  key <- Sys.getenv("DESCENT_API_KEY")
  if (nzchar(key) || !nzchar(file)) key else trimws(readLines(file, n = 1, warn = FALSE))
}

descent_client <- function(url = NULL, key = NULL, timeout_seconds = NULL, attempts = 8) {
  if (is.null(url)) url <- environment_or("DESCENT_URL", "http://127.0.0.1:8080")
  if (is.null(key)) key <- key_from_environment()
  if (is.null(timeout_seconds)) timeout_seconds <- as.numeric(environment_or("DESCENT_TIMEOUT_SECONDS", "60"))
  stopifnot(grepl("^https?://", url), timeout_seconds > 0, attempts >= 1)
  structure(list(url = sub("/+$", "", url), key = key, timeout_seconds = timeout_seconds, attempts = attempts),
            class = "descent_client")
}

descent_info <- function(client) call_json(client, "GET", "/v1")

optimizer_path <- function(name) paste0("/v1/optimizers/", segment(name))

descent_optimizers <- function(client) pages(client, "/v1/optimizers")

descent_create_optimizer <- function(client, name, family, config = NULL) {
  body <- list(name = name, family = family)
  if (!is.null(config)) body$config <- config
  call_json(client, "POST", "/v1/optimizers", body, create = TRUE)
}

descent_upload <- function(client, name, weights) {
  if (is.character(weights)) weights <- readBin(weights, "raw", file.size(weights))
  answer <- send(client, "POST", paste0(optimizer_path(name), "/versions"), weights,
                 list("Content-Type" = "application/x-safetensors", "Idempotency-Key" = fresh_key()))
  jsonlite::fromJSON(rawToChar(answer$content), simplifyVector = FALSE)
}

descent_download <- function(client, name, version) {
  send(client, "GET", sprintf("%s/versions/%d/weights", optimizer_path(name), as.integer(version)))$content
}

descent_set_alias <- function(client, name, alias, version) {
  call_json(client, "PUT", paste0(optimizer_path(name), "/aliases/", segment(alias)), list(version = as.integer(version)))
}
