module llmroute.tools/load

go 1.25
