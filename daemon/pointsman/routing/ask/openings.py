"""Openings of the tasks that front ends, frameworks, and evaluations give a model by themselves. Data.

Each line is the beginning of the message, the system prompt, or the instruction after a transcript, without markup, in
lower case. The words identify a client's template. A person who begins like this continues differently.
"""

from __future__ import annotations

OPENINGS = tuple(
    """
a list of documents is shown below
a question is provided below. given the question, extract
act as a title generator
analyze if this message indicates a new
analyze only the content and structure of your
analyze the chat history to determine
analyze the given short conversation
analyze this conversation and provide
as a professional web researcher, your task is to generate
assess the quality of the task completed
assistant is an advanced ai system designed to analyze the user query
available tools {
based on the chat history, give this conversation a name
based on the conversation so far, provide a concise description
based on the given text, please generate a comprehensive list
begin content to summarize
below is a history of the conversation so far, and a new question
briefly summarize this partial conversation
check if there is unsafe content in
classify the emotion of the last message
context an llm context limit was reached
convert the latest user question into
create a summary of the conversation above
describe the above conversation in
detect user language and write
determine if the reference section is useful
determine which participant takes the next turn
distill the above chat messages
examine the provided response and choose
extend the summary by taking into account
extract any file paths that this command
first, reason in your scratchpad
for the provided list of statements
generate 1 3 broad tags
generate a concise 3 7 word title
generate a concise, 3 5 word title
generate a detailed prompt for a
generate a detailed summary of this conversation
generate a full user question
generate a question for the given answer
generate a title for this conversation
generate an enhanced version of
give a short context that
give a short succinct context
given a chat history and the latest user
given a context, and an answer, analyze
given a conversation between human and assistant
given a query to a question answering system select
given a question and an answer, create one or more statements
given a raw text input to a language model
given a text document that is potentially relevant to this activity
given a user question, and a list of tools
given an evaluation criteria
given the above conversation, generate a
given the conversation above, who should act next
given the conversation between human and assistant
given the conversation history and a follow up
given the evaluation steps
given the following conversation and a
given the following conversation between a user and an ai assistant
given the following conversation, provide a short name
given the following question and context
goal given a text document that is potentially relevant
here is a task description for which i would like you to create
i want you to act as a title generator
i want you to create a leaderboard of different
ignore previous instructions. classify
ignore previous instructions. summarize
in the next response i want you to provide only a detailed
in view of the conversation above, who acts next
job description you are a text classification engine
look at the input and try to reason about
pause your roleplay
please act as an impartial judge
please classify the text provided by the user into
please generate a four to five word title
please give a short succinct context
please help me predict the
please suggest a reply to the following conversation
please summarize the above conversation
please summarize the conversation above
please summarize the key points from the following conversation
please tell if a given piece of information is supported
please write a 5 10 word title
please write a brief title for
please write a passage to answer the question
please write a scientific paper passage
progressively summarize the lines of conversation
propose three questions about a given piece of text
provide a concise, 5 word or less title
provide a detailed prompt for continuing our conversation
provide better search query for web search engine
read the above conversation. then select the next role
rephrase the following user question
rephrase the user's question
rewrite the last message to reflect the user's intent
some choices are given below
some text is provided below. given the text, extract
stop the roleplay now
suggest 3 5 relevant follow up questions
suggest three very short
summarize our conversation above
summarize the conversation history so far
summarize the conversation into a title
summarize the discussion briefly
summarize the user's request into
summarize this coding conversation
the current conversation is rapidly running out of context
the following is a conversation with an ai assistant. rephrase
the following is set of summaries
the following messages are being evicted from the
these are the messages that have been exchanged so far
this task involves researching a given topic
use the set memory tool to
verify if the context was useful in arriving
what would be a short and relevant title for this
write 3 google search queries
write a short one sentence question that the user can ask
write a summary of the following. try to use only
write your next reply from the point of view of
you a question re writer
you are a chat title generator
you are a classifying agent that filters user inputs
you are a commit message generator
you are a fair judge assistant
you are a git commit message generator
you are a grader
you are a helpful ai assistant tasked with summarizing
you are a helpful assistant designed to find the best suited route
you are a helpful assistant responsible for generating a comprehensive summary
you are a helpful assistant tasked with extracting structured information
you are a helpful assistant tasked with identifying both high level and low level keywords
you are a helpful assistant that generates concise, descriptive titles
you are a helpful assistant that generates multiple
you are a highly efficient assistant, who evaluates and selects
you are a knowledge graph specialist
you are a memory summarization system
you are a personal information organizer
you are a professional conversation summarizer
you are a query rewriter
you are a question re writer
you are a question rewriter
you are a relevance grader
you are a seasoned research assistant tasked with generating search queries
you are a smart memory manager
you are a sophisticated ai diagnostic agent
you are a specialized task routing ai
you are a summarization ai
you are a supervisor tasked with managing a conversation between
you are a teacher grading
you are a text analyzer
you are a text classification engine
you are a title generator
you are a world class algorithm for extracting
you are an advanced summarization bot
you are an ai assistant helping a human keep track of facts
you are an ai assistant reading the transcript of
you are an ai assistant that extracts entity
you are an ai conversation titles assistant
you are an ai language model assistant. your task is to generate
you are an ai memory expert
you are an ai programming assistant, helping a software developer to come with the best git commit
you are an ai question rephraser
you are an ai suggestion generator
you are an anchored context summarization
you are an assistant skilled in conversation
you are an assistant who is skilled in conversation
you are an autocompletion system
you are an emoji expert
you are an expert at analyzing git history
you are an expert at converting user questions into
you are an expert at routing a user question
you are an expert at writing git commits
you are an expert classifier
you are an expert code editing assistant specializing in debugging a failed
you are an expert data labeler
you are an expert entity extractor
you are an expert evaluation system
you are an expert extraction algorithm
you are an expert in crafting pithy titles
you are an expert keyword extractor
you are an expert software engineer that generates concise
you are an information overlap classifier
you are asked to generate a concise chat title
you are assessing a submitted answer
you are coming up with a succinct title
you are comparing a submitted answer
you are comparing responses to
you are generating questions that is well optimized for retrieval
you are given a task to identify if the hypothesis is grounded
you are grading output according to
you are highly intelligent and accurate sentiment analyzer
you are in a role play game
you are khoj, an extremely smart and helpful document search
you are khoj, an extremely smart and helpful search
you are maintaining a context aware state summary
you are performing a context checkpoint compaction
you are rankgpt
you are summarizing a conversation
you are tasked with generating web search queries
you are the component that summarizes
you are to act as an author of a commit message
you need to decompose the user's input
you want to answer the question using google search
you will be given a conversation and a follow up
you will be given a conversation below
you will be given a set of messages that have been exchanged
you will be given a user question and
you will be given one summary written for
you will generate a short title
you're an assistant who's good at extracting key content
your goal is to generate a targeted web search query
your goal is to generate sophisticated and diverse web search queries
your goal is to rewrite the user query
your goal is to structure the user's query
your job is to produce a final summary
your job is to summarize a history of previous messages
your mission is to create clean and comprehensive commit messages
your role is as an assistant to a customer support agent. you will be provided with a transcript
your role is to rephrase follow up queries
your task is to analyze the current conversation context
your task is to check if the bot message
your task is to check if the user message
your task is to create a comprehensive detailed summary
your task is to create a detailed summary of
your task is to evaluate if the response for the query
your task is to judge
your task is to process bash commands
your task is to reflect the speaker's
""".strip().split("\n")
)
