package io.descent.client;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;

/** The server's problem+json. Decide by {@link #code}, a constant such as "step_gap"; the message is for people. */
public final class ApiException extends DescentException {
    private static final long serialVersionUID = 1L;
    private final int status;
    private final Duration retryAfter;
    private final transient JsonNode problem;

    ApiException(int status, JsonNode problem, Duration retryAfter) {
        super(problem.path("code").asText(Integer.toString(status)) + ": " + problem.path("detail").asText(), null);
        this.status = status;
        this.problem = problem;
        this.retryAfter = retryAfter;
    }

    public int status() {
        return status;
    }

    public String code() {
        return problem.path("code").asText();
    }

    public String detail() {
        return problem.path("detail").asText();
    }

    public String requestId() {
        return problem.path("request_id").asText();
    }

    public boolean retryable() {
        return problem.path("retryable").asBoolean();
    }

    /** The whole problem, with "errors" for the fields of a body. */
    public JsonNode problem() {
        return problem;
    }

    Duration retryAfter() {
        return retryAfter;
    }
}
