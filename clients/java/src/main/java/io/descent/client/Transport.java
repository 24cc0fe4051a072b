package io.descent.client;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;

/**
 * One HTTP request, tried again where that is safe.
 *
 * <p>Every request of this package may be sent twice: an update carries its step number, a POST that creates an
 * Idempotency-Key, the rest changes nothing more the second time. So a lost connection, an answer that does not come in
 * time and a 429 or 503 lead to another try, after a pause that doubles and is never the same for two clients.
 */
final class Transport {
    static final ObjectMapper JSON = new ObjectMapper();

    private final HttpClient http;
    private final String base;
    private final String key;
    private final Duration timeout;
    private final int attempts;

    Transport(String base, String key, Duration timeout, int attempts) {
        this.http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(timeout).build();
        this.base = base.replaceAll("/+$", "");
        this.key = key;
        this.timeout = timeout;
        this.attempts = attempts;
    }

    int attempts() {
        return attempts;
    }

    /** Send until there is an answer; a failure of the server's is thrown as {@link ApiException}. */
    HttpResponse<byte[]> send(String method, String path, byte[] body, Map<String, String> headers)
            throws InterruptedException {
        HttpRequest request = request(method, path, body, headers).timeout(timeout).build();
        for (int attempt = 1;; attempt++) {
            Duration wait = pause(attempt);
            try {
                HttpResponse<byte[]> response = http.send(request, BodyHandlers.ofByteArray());
                // A 404 to a repeated DELETE: an earlier try has deleted it, and its answer was lost.
                boolean gone = method.equals("DELETE") && response.statusCode() == 404 && attempt > 1;
                if (response.statusCode() < 400 || gone) {
                    return response;
                }
                ApiException failure = failure(response.statusCode(), response, response.body());
                boolean again = response.statusCode() == 429 || response.statusCode() == 503;
                if (!again || attempt == attempts) {
                    throw failure;
                }
                wait = wait.compareTo(failure.retryAfter()) < 0 ? failure.retryAfter() : wait;
            } catch (IOException lost) {
                if (attempt == attempts) {
                    throw new ConnectionFailedException(method + " " + path, attempt, lost);
                }
            }
            Thread.sleep(wait.toMillis());
        }
    }

    /** Begin a GET whose body the caller reads as it comes, and closes. */
    InputStream stream(String path, Map<String, String> headers) throws IOException, InterruptedException {
        HttpResponse<InputStream> response =
                http.send(request("GET", path, null, headers).build(), BodyHandlers.ofInputStream());
        if (response.statusCode() >= 400) {
            try (InputStream body = response.body()) {
                throw failure(response.statusCode(), response, body.readAllBytes());
            }
        }
        return response.body();
    }

    private HttpRequest.Builder request(String method, String path, byte[] body, Map<String, String> headers) {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(base + path));
        request.method(method, body == null ? BodyPublishers.noBody() : BodyPublishers.ofByteArray(body));
        if (key != null) {
            request.header("Authorization", "Bearer " + key);
        }
        headers.forEach(request::header);
        return request;
    }

    private static ApiException failure(int status, HttpResponse<?> response, byte[] body) {
        JsonNode problem;
        try {
            problem = JSON.readTree(body);
        } catch (IOException notJson) {
            problem = null;
        }
        if (problem == null || !problem.isObject()) {
            problem = JsonNodeFactory.instance.objectNode();
        }
        String after = response.headers().firstValue("Retry-After").orElse("0");
        Duration retryAfter = after.matches("\\d{1,6}") ? Duration.ofSeconds(Long.parseLong(after)) : Duration.ZERO;
        return new ApiException(status, problem, retryAfter);
    }

    /** 0.1 s, 0.2 s, ... up to 5 s, half of it by chance. */
    static Duration pause(int attempt) {
        double whole = Math.min(5, 0.05 * Math.pow(2, attempt));
        return Duration.ofMillis((long) (1000 * whole * ThreadLocalRandom.current().nextDouble(0.5, 1)));
    }
}
