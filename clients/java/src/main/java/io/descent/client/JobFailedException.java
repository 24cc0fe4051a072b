package io.descent.client;

import com.fasterxml.jackson.databind.JsonNode;

/** A job ended otherwise than by success. */
public final class JobFailedException extends DescentException {
    private static final long serialVersionUID = 1L;
    private final transient JsonNode info;

    JobFailedException(JsonNode info) {
        super("job " + info.path("id").asText() + " " + info.path("state").asText() + ": " + info.path("error"), null);
        this.info = info;
    }

    /** All that the server says of the job. */
    public JsonNode info() {
        return info;
    }
}
