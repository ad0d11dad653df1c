"""What a project's people ask for and takes longer than a page: jobs that a worker does slice by slice.

    @project_job("bulk")                                                       # in a room's tasks.py
    def bulk(request, job): ...

    job, is_new = service.ask(request, project.id, "bulk", {"action": "tag"})  # in a view; wakes a worker

A handler opens its own transactions and says in each how far it has come; after a
kill -9 the next worker goes on from there:

    while True:
        with request.tm:
            n, place = change_some(request.dbsession, job.place)
            job.move(request.dbsession, done=n, place=place)       # raises Over: cancelled, lost, or this worker ends
        if not n:
            break
    return {"changed": job.done}
"""
